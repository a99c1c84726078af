/*
 * Allocation on the heap. If there is no memory the process ends by SIGABRT, and multiwatch or systemd starts another,
 * so no function returns NULL. The caller frees with free(). Memory of one request belongs in an arena.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

/* Uninitialised memory. */
void *alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed memory. */
void *alloc_zeroed(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* Like realloc(3); old may be NULL, and is invalid afterwards. */
void *alloc_again(void *old, size_t size) __attribute__((returns_nonnull));
/* Returns memory that another library allocated; ends the process when it is NULL. */
void *alloc_checked(void *memory) __attribute__((returns_nonnull));

/* The struct of which `pointer` points to a member. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
