/*
 * Memory from the heap that is there: a process that gets none ends with SIGABRT, and multiwatch or systemd starts
 * another. Whoever gets memory frees it with free(). What lives for one request belongs into an arena.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

/* Uninitialised. */
void *alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroes. */
void *alloc_zeroed(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* As realloc(3); old may be NULL, and is not to be used afterwards. */
void *alloc_again(void *old, size_t size) __attribute__((returns_nonnull));

/* The struct of which `pointer` points to a member. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
