/*
 * The rig: the stock engine as it is (src/stock/claim.c, transfer.c, launch.c, supply.c over src/redis/redis.c) against a
 * real Redis, without HTTP and without MySQL, so that a sale of 100 units takes milliseconds and ten thousand of them can
 * be had. A parent opens the sales, adds stock and checks; processes of their own, as workers of the hot pool are, send
 * the claims. They meet at a barrier before and after every wave of claims.
 *
 *   rig.c         options, the parent: waves, supply, report
 *   rig_worker.c  a process that claims
 *   rig_check.c   what the slots say afterwards, against what was told
 *   rig_db.c      MySQL, as far as launch.c and supply.c need it
 */
#ifndef IT_RIG_H
#define IT_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "sale/coupon.h"
#include "sale/service.h"
#include "sale/status.h"

/* Wave by wave: all at once; who comes later, after stock was added; who was refused, and a few who were not, once more. */
enum wave { ALL_AT_ONCE, LATECOMERS, ONCE_MORE, WAVES };

struct customer {
	int64_t user;
	bool late;
	enum status told; /* STATUS_OK: nothing yet */
	int segment;
	int64_t sequence;
};

struct options {
	const char *redis;
	int64_t runs, seed;
	int64_t units, segments, customers, late, add;
	int64_t processes, concurrency; /* claims under way in one process; 0: all of its customers' */
	int64_t cancel;                 /* 1: an order is cancelled about when the last unit is sold */
	const char *servers;            /* pids of the Redis servers, with commas: their CPU time is measured */
	const char *homes;              /* random, one (all customers in one segment), each (one segment after the other) */
};

/* Shared by all processes. */
struct shared {
	pthread_barrier_t barrier;
	int64_t coupon, seed;
	enum wave wave;
	bool over;
	_Atomic int64_t won, refused, busy, repeated, changed, failed; /* answers of this run; what was told must not change */
	_Atomic int64_t first_refusal_ms, slowest_ms;
	struct customer customers[];
};

/* Numbers from a seed: splitmix64, Steele, Lea, Flood 2014. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* A process: waits for waves, until it is over. */
_Noreturn void worker_run(const struct conf *conf, const struct options *o, struct shared *s, int number);

/* What is wrong with the slots of the sale, as they stand: a line in text, or "". */
void check_slots(struct service *svc, struct arena *a, const struct options *o, const struct shared *s, char text[200]);

#endif
