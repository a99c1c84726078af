/*
 * An inspection repairs and opens the suspect slots of a coupon. Slots are suspect after a restart, a failover or a
 * resharding, when their server may have lost the last writes. From MySQL and the other slots the inspection writes
 * missing orders back, brings the totals of hub and segments to one state, and records lost orders. Then it opens each
 * segment under a new base of order numbers. A slot whose numbers contradict each other is quarantined instead, until
 * `seckillctl recover`. Claims of the coupon wait during an inspection. Blocks.
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include "sale/service.h"
#include "sale/status.h"

/* The coupons that are inspected at the same time. */
enum { INSPECT_MOST = 64 };

/* What a process keeps from one inspection to the next. */
struct inspector;
struct inspector *inspector_new(struct service *svc);
void inspector_free(struct inspector *ins);

/*
 * Inspects each coupon; results[i] is that of coupons[i]:
 * STATUS_OK           every slot is open.
 * STATUS_FENCED       the coupon is quarantined; the log has the reason.
 * STATUS_BUSY         inspect it again: another inspection or a recovery is at work, or workers may still answer
 *                     "sold out".
 * STATUS_UNAVAILABLE  inspect it again: a server is unreachable. Slots of other servers may have been opened.
 * STATUS_NO_SUCH_COUPON, STATUS_INTERNAL
 *                     nothing was changed.
 */
void inspect_coupons(struct inspector *ins, struct arena *a, const int64_t *coupons, int count, enum status *results);

/* Inspects up to INSPECT_MOST coupons of the worklist of suspects. False: a server did not answer. */
bool inspect_suspects(struct inspector *ins, struct arena *a);

#endif
