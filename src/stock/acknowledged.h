/*
 * The highest order number that this host has acknowledged in a segment, in the high-water table. When Redis was rolled
 * back, this number shows which orders are lost. No number is given out twice without it either.
 *
 * A segment gets a place in the table with its first order. The drainers free the place when the sale is over, or when
 * three quarters of all places are taken, and only if MySQL has every order up to the number.
 *
 * When the segment has a new base, the highest number of the earlier base is kept, too, until a drainer of this host
 * has looked whether orders up to that number are lost. Workers also enter the number in a worklist (worklist_look_for)
 * for the drainers of all hosts, but that entry may be lost.
 */
#ifndef STOCK_ACKNOWLEDGED_H
#define STOCK_ACKNOWLEDGED_H

#include "base/arena.h"
#include "sale/service.h"

/* The highest number that this host has acknowledged in a segment; 0: none. */
int64_t acknowledged_read(const struct service *svc, int64_t coupon, int segment);

/* The same above this base, a multiple of NUMBERS_RANGE; 0: none. */
int64_t acknowledged_read_above(const struct service *svc, int64_t coupon, int segment, int64_t base);

/*
 * Notes that a number was acknowledged. Returns 0; or, when the host has acknowledged numbers of another base, the
 * highest number of the earlier of the two bases: orders up to that number may be lost (worklist_look_for). A full
 * table is logged and counted, and changes nothing for the order.
 */
int64_t acknowledged_raise(struct service *svc, int64_t coupon, int segment, int64_t number);

/* Frees the place of a segment, unless a number above this one was acknowledged. */
void acknowledged_drop(struct service *svc, int64_t coupon, int segment, int64_t number);

/* The text of a problem for /readyz, in the arena, when few places are free; else NULL. */
const char *acknowledged_problem(const struct service *svc, struct arena *a);

/* One place of the table. */
struct acknowledged {
	uint64_t key;
	int64_t coupon, number;
	int segment;
	bool is_earlier; /* number is above an earlier base of the segment */
};

/*
 * Reads the next taken place; *at is 0 for the first one, and is advanced. False: there are no more. Places that are
 * taken or freed meanwhile may be missed.
 */
bool acknowledged_next(const struct service *svc, size_t *at, struct acknowledged *one);

/* Frees a place, unless its number is above `highest` by now. */
void acknowledged_drop_one(struct service *svc, const struct acknowledged *one, int64_t highest);

#endif
