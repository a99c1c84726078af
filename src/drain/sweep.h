/*
 * A sweep over all published coupons. It finds orders whose coupon is not in sk:dirty and units that were added in
 * MySQL but not in the hub, both left by a killed process, and slots that are suspect after a restart of Redis. Usually
 * a coupon costs one command for its hub and, on a single server, one for 32 lists; a coupon whose hub is not as it
 * should be is inspected at once, all others in a walk of their own that is slower, or on a cluster in each round. Both
 * take a fixed time for each slot, so that their load does not depend on the number of coupons. After a server came
 * back the sweep inspects all coupons once at full speed. Blocks.
 */
#ifndef DRAIN_SWEEP_H
#define DRAIN_SWEEP_H

#include "drain/backlog.h"
#include "sale/status.h"

/*
 * Inspects coupons, and writes a status for each into results. STATUS_BUSY: the next round inspects all coupons again;
 * STATUS_UNAVAILABLE: a server does not answer.
 */
typedef void sweep_inspect(void *context, struct arena *a, const int64_t *coupons, int count, enum status *results);

struct sweep;
struct sweep *sweep_new(struct service *svc, sweep_inspect *inspect, void *context);
void sweep_free(struct sweep *s);

/*
 * Looks at the next coupons when the step is due, and returns their backlogs in *found, in the arena. dirty_lost:
 * sk:dirty cannot be read; then only the sweep finds the coupons with orders, so it goes at full speed. False: a server
 * that has a slot of these coupons, or MySQL, does not answer.
 */
bool sweep_step(struct sweep *s, struct arena *a, bool dirty_lost, struct backlogs *found);

/* True: since a server came up or was replaced, not all coupons were looked at: the next step is due at once. */
bool sweep_rushes(const struct sweep *s);

#endif
