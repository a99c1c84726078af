/*
 * The mark of a segment: the highest order number that this host has told a
 * customer. Where Redis has gone back in time it names numbers that nobody has
 * any more. It is no fence: without it no number is given twice, either.
 *
 * A segment gets a place among the marks with its first order. The drainers
 * give it back when the sale is over, or when three quarters of all places are
 * taken, and in both cases only when MySQL has every order up to the mark.
 *
 * When the segment gets a new base, the highest number of the one before is
 * kept, too, until a drainer of this host has looked whether orders up to that
 * are lost: workers ask the drainers of all hosts, but who asks may not be heard.
 */
#ifndef STOCK_ACKNOWLEDGED_H
#define STOCK_ACKNOWLEDGED_H

#include "base/arena.h"
#include "sale/service.h"

/* The mark of a segment; 0: it has none on this host. */
int64_t acknowledged_read(const struct service *svc, int64_t coupon, int segment);

/* The same of the numbers above a multiple of NUMBERS_RANGE, up to the next. */
int64_t acknowledged_read_above(const struct service *svc, int64_t coupon, int segment, int64_t base);

/*
 * Returns 0, or another number that this host was told, of an earlier base, when the two bases meet here: whether
 * orders up to that are lost is to be looked at (worklist_look_for). When there is no place this is logged and counted,
 * and the order is as good as any.
 */
int64_t acknowledged_raise(struct service *svc, int64_t coupon, int segment, int64_t number);

/* Gives the place back unless a number above this one was told: those up to it are judged. */
void acknowledged_drop(struct service *svc, int64_t coupon, int segment, int64_t number);

/* What is wrong: few places are left. NULL: nothing. */
const char *acknowledged_problem(const struct service *svc, struct arena *a);

/* One place of the table, whatever it is for. */
struct acknowledged {
	uint64_t key;
	int64_t coupon, number;
	int segment;
	bool is_earlier; /* it belongs to a base before the segment's last one */
};

/*
 * The places one after the other, from *at (0 at first) on, which it moves on; false when there are no more. Those that
 * come and go meanwhile may be missed.
 */
bool acknowledged_next(const struct service *svc, size_t *at, struct acknowledged *one);

/* Gives a place back, unless its number is above this one by now. */
void acknowledged_drop_one(struct service *svc, const struct acknowledged *one, int64_t highest);

#endif
