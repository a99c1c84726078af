/*
 * The way of orders from Redis to MySQL. Lists are read, not popped: a batch
 * is committed together with the cursors of its segments, and only then
 * trimmed; what was killed in between is read again and recognised by its
 * sequence. Two drainers on one coupon are correct; a lease keeps them apart
 * only to save work. Blocks.
 */
#ifndef DRAIN_DRAIN_H
#define DRAIN_DRAIN_H

#include "sale/service.h"

struct drain;
struct drain *drain_new(struct service *svc);
void drain_free(struct drain *d);

/*
 * One pass over all coupons on sale: at most one batch each. Returns the orders committed, 0 when nothing waits (or
 * another drainer has it), -1 when MySQL or all of Redis is away, or refuses: wait before the next pass. One master of
 * a cluster that is away is no reason to wait.
 */
int drain_pass(struct drain *d);

/* A server came up or was replaced, and not all coupons were looked at since: the next pass is due at once. */
bool drain_rushes(const struct drain *d);

#endif
