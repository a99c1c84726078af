/*
 * Orders that a customer's list names and nothing else knows: a customer was
 * told of one, and the server that had it lost it, on a cluster that did not
 * wait for a replica, or whose replicas are lost, too. Whoever meets such an
 * entry has a suspicion. A drainer looks at it, and names the order as lost:
 * a dead letter with REASON_LOST_FOUND, which holds no unit. Blocks.
 */
#ifndef ORDER_LOST_H
#define ORDER_LOST_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"
#include "sale/worklist.h"

/*
 * Looks for an order among the owners and on the list of its segment, in MySQL and among the dead letters, and names it
 * as lost when it is in none of them, once. STATUS_OK: it was found, is named now, or is not in the customer's list.
 * STATUS_BUSY: its segment is not open, so that nothing is known; look again later. STATUS_UNAVAILABLE,
 * STATUS_INTERNAL.
 */
enum status lost_look(struct service *svc, struct arena *a, const struct lost_candidate *s);

/*
 * For who only asks: STATUS_OK: the order is somewhere, or is named as lost. STATUS_NO_SUCH_ORDER: it is nowhere. Else
 * as lost_look.
 */
enum status lost_find(struct service *svc, struct arena *a, const struct lost_candidate *s);

/*
 * Names the order of a number as lost that was given out above an earlier base, and that its segment was seen not to
 * have when its base was this one. user 0: nobody knows whose it was. STATUS_OK: it is there, or is named now.
 * STATUS_BUSY: the segment has another base by now. STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status lost_name(struct service *svc, struct arena *a, const struct lost_candidate *s, int64_t base,
		      int64_t claimed_ms);

/*
 * A host was told this number, above an earlier base of the segment than its present one. All numbers from the end of
 * that range, as MySQL knows it, up to this one were given out, and a server has lost them: those that are nowhere are
 * named. STATUS_OK: they are; STATUS_BUSY: the segment is not open. STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status lost_told(struct service *svc, struct arena *a, int64_t coupon, int segment, int64_t number);

/* Looks at some of sk:lost, and removes what is decided. False: a server is away. */
bool lost_look_at_some(struct service *svc, struct arena *a);

#endif
