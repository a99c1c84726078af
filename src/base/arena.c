/* Bump allocation in blocks. With the address sanitizer every allocation is a malloc, so that overruns are found. */
#include "base/arena.h"
#include "base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
enum { BLOCK_SIZE = 0 };
#else
enum { BLOCK_SIZE = 8192 };
#endif

enum { ALIGN = _Alignof(max_align_t) };

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

struct arena_cleanup {
	struct arena_cleanup *next;
	void (*fn)(void *);
	void *object;
};

static size_t block_size(const struct arena *a)
{
	return BLOCK_SIZE && a->block_size ? a->block_size : BLOCK_SIZE;
}

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

static void run_cleanups(struct arena *a)
{
	for (struct arena_cleanup *c = a->cleanups; c; c = c->next)
		c->fn(c->object);
	a->cleanups = NULL;
}

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;
		free(b);
		b = next;
	}
}

void arena_reset(struct arena *a)
{
	run_cleanups(a);
	struct arena_block *keep = a->blocks;
	if (!keep)
		return;
	free_blocks(keep->next);
	if (keep->size != block_size(a)) {
		free(keep);
		a->blocks = NULL;
		return;
	}
	keep->next = NULL;
	keep->used = 0;
}

void arena_release(struct arena *a)
{
	run_cleanups(a);
	free_blocks(a->blocks);
	a->blocks = NULL;
}

static void *alloc_raw(struct arena *a, size_t size)
{
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct arena_block *b = a->blocks;
	if (!b || b->size - b->used < size) {
		size_t room = size > block_size(a) ? size : block_size(a);
		b = alloc(sizeof *b + room);
		*b = (struct arena_block){ .next = a->blocks, .size = room };
		a->blocks = b;
	}
	void *p = b->data + b->used;
	b->used += size;
	return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
	return memset(alloc_raw(a, size), 0, size);
}

char *arena_strndup(struct arena *a, const char *p, size_t n)
{
	char *copy = alloc_raw(a, n + 1);
	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
	return (struct str){ arena_strndup(a, s.p, s.n), s.n };
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		abort();
	char *text = alloc_raw(a, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, again);
	va_end(again);
	return text;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *object)
{
	struct arena_cleanup *c = arena_alloc(a, sizeof *c);
	*c = (struct arena_cleanup){ .next = a->cleanups, .fn = fn, .object = object };
	a->cleanups = c;
}
