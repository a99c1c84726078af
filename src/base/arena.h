/*
 * Memory that dies together: an arena per request, per batch, per command.
 * Running out of memory ends the process; no allocation here returns NULL.
 * Not safe to share between threads.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena {
	struct arena_block *blocks;     /* newest first */
	struct arena_cleanup *cleanups; /* newest first */
	size_t block_size;              /* of memory that is taken at once; 0: 8 KB, which suits a request */
};

/* Caller's storage; nothing is allocated until the first use. Zeroed memory is an arena, too. */
void arena_init(struct arena *a);

/* Runs the cleanups (newest first) and takes all memory back; one block is kept for the next use. */
void arena_reset(struct arena *a);

/* As arena_reset, and gives the last block back too. */
void arena_release(struct arena *a);

/* Zeroed memory, aligned for any type, valid until reset. */
void *arena_alloc(struct arena *a, size_t size);

/* NUL-terminated copies, valid until reset. */
char *arena_strndup(struct arena *a, const char *p, size_t n);
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls fn(object) at reset: for what another library allocated. */
void arena_defer(struct arena *a, void (*fn)(void *), void *object);

#endif
