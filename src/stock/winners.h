/*
 * The customers who have an order of a coupon, and of which units, as a set: read from the owners of all segments, once
 * for an epoch of the hub in which the coupon is sold out. Nobody wins within such an epoch, so the set stays complete.
 */
#ifndef STOCK_WINNERS_H
#define STOCK_WINNERS_H

#include "sale/coupon.h"

struct winners;
struct winners *winners_new(struct service *svc, struct coupon *c);
void winners_free(struct winners *w); /* never called during a reading, which holds the coupon */

/*
 * Begins to read the winners of this epoch, unless they are known or being read, or reading has just failed, or they
 * are too many to be kept. Does not block.
 */
void winners_read(struct winners *w, int64_t epoch);

/* True: the owner is not among the winners of this epoch. False: the owner is, or the winners are not known. */
bool winners_exclude(const struct winners *w, int64_t epoch, struct owner owner);

#endif
