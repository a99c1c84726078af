/*
 * Arenas: memory that is freed together, for example that of a request, a batch or a command. If there is no memory the
 * process ends, so no allocation returns NULL. Not for two threads.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena {
	struct arena_block *blocks;     /* newest first */
	struct arena_cleanup *cleanups; /* newest first */
	size_t block_size;              /* how much is taken from the heap at once; 0: 8 KB, enough for a request */
};

/* The struct is the caller's. Nothing is allocated before the first use. A zeroed struct is initialised, too. */
void arena_init(struct arena *a);

/* Runs the cleanups, newest first, and frees what was allocated; one block is kept for the next use. */
void arena_reset(struct arena *a);

/* As arena_reset, and frees the last block, too. */
void arena_release(struct arena *a);

/* Zeroed memory, aligned for any type, valid until reset. */
void *arena_alloc(struct arena *a, size_t size);

/* NUL-terminated copies, valid until reset. */
char *arena_strndup(struct arena *a, const char *p, size_t n);
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls fn(object) at the next reset or release: for what another library allocated. */
void arena_defer(struct arena *a, void (*fn)(void *), void *object);

#endif
