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
#ifndef SALE_MARK_H
#define SALE_MARK_H

#include "base/arena.h"
#include "sale/service.h"

/* The mark of a segment; 0: it has none on this host. */
int64_t mark_read(const struct service *svc, int64_t coupon, int segment);

/* The same of the numbers above a multiple of NUMBERS_RANGE, up to the next. */
int64_t mark_read_above(const struct service *svc, int64_t coupon, int segment, int64_t base);

/*
 * Returns 0, or another number that this host was told, of an earlier base, when the two bases meet here: whether
 * orders up to that are lost is to be looked at (lost_suspect). When there is no place this is logged and counted, and
 * the order is as good as any.
 */
int64_t mark_raise(struct service *svc, int64_t coupon, int segment, int64_t number);

/* Gives the place back unless a number above this one was told: those up to it are judged. */
void mark_drop(struct service *svc, int64_t coupon, int segment, int64_t number);

/* What is wrong: few places are left. NULL: nothing. */
const char *mark_trouble(const struct service *svc, struct arena *a);

/* The work of a drainer. */
struct mark_sweep;
struct mark_sweep *mark_sweep_new(struct service *svc);
void mark_sweep_free(struct mark_sweep *s);

/*
 * Looks at some marks, when it is time to. True: call it again soon, as few places are left. Blocks for one query of
 * MySQL; nothing is given back while MySQL is away.
 */
bool mark_sweep_step(struct mark_sweep *s);

#endif
