/*
 * Open addressing with linear probes. If two processes enter a key at the same moment, the key has two places; its
 * value is the higher one.
 *
 * A place may be given back and taken for another key while processes read and raise it. So each value has a version,
 * which changes when the place is taken, before the place gets its key. If a process reads the value, then the key, and
 * finds the same version when it reads or writes the value again, the value was that of the key. If a process is killed
 * while it takes a place, the place is lost.
 */
#include "host/high_water.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "host/shared.h"

enum { PROBES = 64, NUMBER_BITS = 54 };

/* Values of the member `key` that are not keys. A search ends at a place that was never taken. */
enum { NEVER_TAKEN, GIVEN_BACK, BEING_TAKEN };

struct place {
	_Atomic uint64_t key;
	_Atomic uint64_t value; /* the version, in the high bits, and the value */
};

struct high_water {
	struct shared shared;
	struct place *places;
};

/* Versions 1, which had no magic, and 2 had the same size, never gave a place back, and had other keys. */
static const struct shared_layout layout = { .size = HIGH_WATER_MAX * sizeof(struct place),
					     .magic = 0x736b6d61726b0003, /* "skmark", version 3 */
					     .earlier = 0x736b6d61726b0002 };

static struct high_water *open_places(const char *path, enum shared_use use, const char **problem)
{
	struct high_water *m = alloc(sizeof *m);
	shared_open(&m->shared, path, &layout, use);
	*problem = m->shared.problem;
	m->places = m->shared.bytes;
	return m;
}

struct high_water *high_water_open(const char *path, const char **problem)
{
	return open_places(path, SHARED_MAKE, problem);
}

struct high_water *high_water_join(const char *path, const char **problem)
{
	return open_places(path, SHARED_JOIN, problem);
}

const char *high_water_problem(const struct high_water *m)
{
	return shared_problem(&m->shared);
}

void high_water_close(struct high_water *m)
{
	if (!m)
		return;
	shared_close(&m->shared);
	free(m);
}

static int64_t number_in(uint64_t value)
{
	return (int64_t)(value & (((uint64_t)1 << NUMBER_BITS) - 1));
}

static uint64_t with_number(uint64_t value, int64_t number)
{
	return (value >> NUMBER_BITS) << NUMBER_BITS | (uint64_t)number;
}

static uint64_t next_version(uint64_t value)
{
	return ((value >> NUMBER_BITS) + 1) << NUMBER_BITS;
}

/* The i-th place to probe for a key; NULL: there are no more. */
static struct place *probe(const struct high_water *m, uint64_t key, int i)
{
	uint64_t home = key * 0x9e3779b97f4a7c15 >> 46; /* Fibonacci hashing: as many bits as HIGH_WATER_MAX has */
	return m && i < PROBES ? &m->places[(home + (uint64_t)i) % HIGH_WATER_MAX] : NULL;
}

/* False: the place has another key. */
static bool read_place(struct place *p, uint64_t key, uint64_t *value)
{
	do {
		*value = atomic_load(&p->value);
		if (atomic_load(&p->key) != key)
			return false;
	} while (*value != atomic_load(&p->value));
	return true;
}

int64_t high_water_read(const struct high_water *m, uint64_t key)
{
	struct place *p;
	uint64_t value;
	int64_t highest = 0;
	for (int i = 0; (p = probe(m, key, i)) && atomic_load(&p->key) != NEVER_TAKEN; i++)
		if (read_place(p, key, &value) && number_in(value) > highest)
			highest = number_in(value);
	return highest;
}

/* False: the place has another key, or was given back meanwhile. */
static bool raise_place(struct place *p, uint64_t key, int64_t number, int64_t *before)
{
	uint64_t value;
	bool raised = false;
	while (read_place(p, key, &value)) {
		if (!raised)
			*before = number_in(value);
		if (number_in(value) >= number)
			return true;
		raised = atomic_compare_exchange_weak(&p->value, &value, with_number(value, number));
	}
	return false;
}

static bool take_place(struct place *p, uint64_t key, int64_t number)
{
	uint64_t there = atomic_load(&p->key);
	if (there > GIVEN_BACK || !atomic_compare_exchange_strong(&p->key, &there, BEING_TAKEN))
		return false;
	atomic_store(&p->value, with_number(next_version(atomic_load(&p->value)), number));
	atomic_store(&p->key, key);
	return true;
}

bool high_water_replace(struct high_water *m, uint64_t key, int64_t value, int64_t *before)
{
	struct place *p;
	*before = 0;
	for (int i = 0; (p = probe(m, key, i)) && atomic_load(&p->key) != NEVER_TAKEN; i++)
		if (raise_place(p, key, value, before))
			return true;
	for (int i = 0; (p = probe(m, key, i)); i++)
		if (take_place(p, key, value))
			return true;
	return !m;
}

bool high_water_raise(struct high_water *m, uint64_t key, int64_t value)
{
	int64_t before;
	return high_water_replace(m, key, value, &before);
}

/* If another process raises the value before the key is removed, the key is entered again with that value. */
static void drop_place(struct high_water *m, struct place *p, uint64_t key, int64_t highest)
{
	uint64_t value, there = key;
	if (!read_place(p, key, &value) || number_in(value) > highest ||
	    !atomic_compare_exchange_strong(&p->key, &there, GIVEN_BACK))
		return;
	uint64_t now = atomic_load(&p->value);
	if (now >> NUMBER_BITS == value >> NUMBER_BITS && number_in(now) > highest)
		high_water_raise(m, key, number_in(now));
}

void high_water_drop(struct high_water *m, uint64_t key, int64_t highest)
{
	struct place *p;
	for (int i = 0; (p = probe(m, key, i)) && atomic_load(&p->key) != NEVER_TAKEN; i++)
		drop_place(m, p, key, highest);
}

int high_water_count(const struct high_water *m)
{
	int taken = 0;
	for (int i = 0; m && i < HIGH_WATER_MAX; i++)
		taken += atomic_load_explicit(&m->places[i].key, memory_order_relaxed) > GIVEN_BACK;
	return taken;
}

bool high_water_next(const struct high_water *m, size_t *at, uint64_t *key, int64_t *value)
{
	while (m && *at < HIGH_WATER_MAX) {
		struct place *p = &m->places[(*at)++];
		uint64_t whole;
		*key = atomic_load(&p->key);
		if (*key >= HIGH_WATER_KEY_MIN && read_place(p, *key, &whole)) {
			*value = number_in(whole);
			return true;
		}
	}
	return false;
}
