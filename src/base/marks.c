/* Open addressing with linear probes; a slot's key is set once, by compare-and-swap, and never taken back. */
#include "base/marks.h"

#include <stdlib.h>

#include "base/shared.h"

enum { SLOTS = 1 << 18, PROBES = 64 };

struct slot {
	_Atomic uint64_t key;
	mark value;
};

struct marks {
	struct shared shared;
	struct slot *slots;
};

/* Marks are evidence: a file of another layout is never replaced. Version 1 had none of the magic. */
static const struct shared_layout layout = { .size = SLOTS * sizeof(struct slot),
					     .magic = 0x736b6d61726b0002, /* "skmark", version 2 */
					     .had_no_magic = true };

static struct marks *open_slots(const char *path, enum shared_use use, const char **problem)
{
	struct marks *m = malloc(sizeof *m);
	if (!m)
		abort();
	shared_open(&m->shared, path, &layout, use);
	*problem = m->shared.problem;
	m->slots = m->shared.bytes;
	return m;
}

struct marks *marks_open(const char *path, const char **problem)
{
	return open_slots(path, SHARED_MAKE, problem);
}

struct marks *marks_join(const char *path, const char **problem)
{
	return open_slots(path, SHARED_JOIN, problem);
}

const char *marks_problem(const struct marks *m)
{
	return shared_problem(&m->shared);
}

void marks_close(struct marks *m)
{
	if (!m)
		return;
	shared_close(&m->shared);
	free(m);
}

mark *marks_find(struct marks *m, uint64_t key)
{
	for (uint64_t i = 0; m && i < PROBES; i++) {
		struct slot *s = &m->slots[(key + i) % SLOTS];
		uint64_t there = 0;
		if (atomic_compare_exchange_strong(&s->key, &there, key) || there == key)
			return &s->value;
	}
	return NULL;
}

int64_t mark_read(const mark *at)
{
	return at ? atomic_load_explicit(at, memory_order_relaxed) : 0;
}

void mark_raise(mark *at, int64_t value)
{
	int64_t there = mark_read(at);
	while (at && there < value && !atomic_compare_exchange_weak(at, &there, value))
		;
}
