/*
 * A place is one word: second, tag of the key, count. A place of an earlier second is free. A key takes the first free
 * place of its bucket, by a compare-and-swap. Within a second no place becomes free again, so the places that are taken
 * are the first ones of a bucket: who looks from the first one on finds the place of a key before any free place, and
 * two processes never give the same key two places. A bucket that is full stays full, so the same holds for the second
 * bucket, where a key looks next.
 *
 * A process that stands still between reading the clock and writing may find places of a later second: it reads the
 * clock again, and begins again. If a place is later than the clock says, it is from before the host was started.
 */
#include "host/rate.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/shared.h"

enum { PLACES = 8, BUCKETS = RATE_KEYS / PLACES, BUCKET_BITS = 15, COUNT_BITS = 8, TAG_BITS = 24, BUCKETS_OF_KEY = 2 };
_Static_assert(BUCKETS == 1 << BUCKET_BITS, "a bucket is chosen by so many bits of the hash");
_Static_assert(RATE_LIMIT_MAX < 1 << COUNT_BITS, "a count fits");

struct rates {
	struct shared shared;
	_Atomic uint64_t *places;
	char path[PATH_MAX];
};

struct rates *rates_open(const char *path, const char **problem)
{
	static const struct shared_layout layout = { .size = RATE_KEYS * sizeof(uint64_t),
						     .magic = 0x736b726174650001, /* "skrate", version 1 */
						     .is_replaced = true };
	struct rates *r = alloc_zeroed(1, sizeof *r);
	snprintf(r->path, sizeof r->path, "%s.rates", path);
	shared_open(&r->shared, r->path, &layout, SHARED_MAKE);
	*problem = r->shared.problem;
	r->places = r->shared.bytes;
	return r;
}

void rates_close(struct rates *r)
{
	if (!r)
		return;
	shared_close(&r->shared);
	free(r);
}

const char *rates_problem(const struct rates *r)
{
	return shared_problem(&r->shared);
}

/* The finalizer of SplitMix64: each bit of the key changes each bit of the result with a chance of a half. */
static uint64_t hash(uint64_t key)
{
	key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9;
	key = (key ^ key >> 27) * 0x94d049bb133111eb;
	return key ^ key >> 31;
}

static uint64_t this_second(void)
{
	return (uint64_t)clock_mono_ms() / 1000 + 1; /* not 0, which is that of a new file */
}

static uint64_t second_of(uint64_t word)
{
	return word >> (TAG_BITS + COUNT_BITS);
}

static int count_of(uint64_t word)
{
	return (int)(word & ((1 << COUNT_BITS) - 1));
}

/* The word of a key that was not used in this second. */
static uint64_t unused(uint64_t hashed, uint64_t second)
{
	uint64_t tag = hashed >> (64 - TAG_BITS);
	return second << (TAG_BITS + COUNT_BITS) | tag << COUNT_BITS;
}

static _Atomic uint64_t *place_of(const struct rates *r, uint64_t hashed, int i)
{
	uint64_t bucket = hashed >> (i / PLACES * BUCKET_BITS) & (BUCKETS - 1);
	return &r->places[bucket * PLACES + (uint64_t)(i % PLACES)];
}

/* Whether a place has a later second than *now. Then *now becomes the present one. */
static bool is_ahead(uint64_t word, uint64_t *now)
{
	uint64_t before = *now;
	if (second_of(word) > before)
		*now = this_second();
	return *now > before;
}

bool rate_take(struct rates *r, uint64_t key, int limit, int *rest)
{
	uint64_t hashed = hash(key), now = this_second();
	*rest = 0;
	for (int i = 0; i < BUCKETS_OF_KEY * PLACES;) {
		_Atomic uint64_t *place = place_of(r, hashed, i);
		uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
		if (is_ahead(word, &now)) {
			i = 0;
			continue;
		}
		uint64_t own = unused(hashed, now);
		bool is_own = word >> COUNT_BITS == own >> COUNT_BITS;
		if (second_of(word) == now && !is_own) {
			i++;
			continue;
		}
		int used = is_own ? count_of(word) : 0;
		if (used >= limit)
			return false;
		if (atomic_compare_exchange_weak(place, &word, own + (uint64_t)used + 1)) {
			*rest = limit - used - 1;
			return true;
		}
	}
	return false;
}
