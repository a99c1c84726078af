/*
 * Moves orders from Redis to MySQL. Lists are read, not popped: a batch is committed together with the cursors of its
 * segments, and only then the lists are trimmed. When a drainer is killed in between, the next drainer reads the same
 * orders again, and recognises by their numbers that they are committed. Two drainers may work on one coupon; a lease
 * keeps them apart only to save work. Blocks.
 */
#ifndef DRAIN_DRAIN_H
#define DRAIN_DRAIN_H

#include "drain/backlog.h"

struct drain;
struct drain *drain_new(struct service *svc);
void drain_free(struct drain *d);

/*
 * One pass over the coupons in sk:dirty: at most one batch of each, for about a tenth of a second. While sk:dirty
 * cannot be read, the pass takes the coupons of the last pass and those of `swept`. all_there: the jobs before this one
 * found every server reachable; otherwise no coupon is removed from sk:dirty.
 *
 * Returns the number of orders committed; 0 when there are none to move, or another drainer has the lease; -1 when no
 * order was moved because MySQL or Redis does not answer or refuses: the caller waits before the next pass. A single
 * master of a cluster that is unreachable does not make it -1.
 */
int drain_pass(struct drain *d, struct arena *a, const struct backlogs *swept, bool all_there);

/* True: the last pass could not read sk:dirty. */
bool drain_lost_dirty(const struct drain *d);

/* True: the last pass left coupons to the next one, because there were many. */
bool drain_was_cut_short(const struct drain *d);

#endif
