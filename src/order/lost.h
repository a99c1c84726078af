/*
 * Lost orders: an order was acknowledged, and the servers that had it lost it, in a cluster that did not wait for a
 * replica, or that lost the replica, too. Only the customer's list still names it. An order that is in a customer's
 * list and not in MySQL is a candidate. A drainer searches all other places. If the order is in none of them, the
 * drainer names it as lost: it writes a dead letter with REASON_LOST_FOUND, which holds no unit. Blocks.
 */
#ifndef ORDER_LOST_H
#define ORDER_LOST_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"
#include "sale/worklist.h"

/*
 * Decides about a candidate: looks for the order among the owners and on the list of its segment, in MySQL and among
 * the dead letters. If it is in none of them, names it as lost. Safe to repeat. STATUS_OK: the order was found, is
 * named now, or is not in the customer's list. STATUS_BUSY: its segment is not open, so this cannot be decided now.
 * STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status lost_decide(struct service *svc, struct arena *a, const struct lost_candidate *c);

/*
 * Names the order of a number of an earlier base as lost. The caller has seen that the segment does not have the order,
 * while the segment's base was `base`. user 0: the customer is not known. STATUS_OK: MySQL has the order, or it is
 * named now. STATUS_BUSY: the segment has another base now. STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status lost_name(struct service *svc, struct arena *a, const struct lost_candidate *c, int64_t base,
		      int64_t claimed_ms);

/*
 * For a number of an earlier base that a host acknowledged. If the end of its range in MySQL is below the number, all
 * numbers in between were given out, too. Those whose orders are in no place are named as lost, and the new end of the
 * range is written to MySQL. STATUS_OK: done; STATUS_BUSY: the segment is not open. STATUS_UNAVAILABLE,
 * STATUS_INTERNAL.
 */
enum status lost_acknowledged(struct service *svc, struct arena *a, int64_t coupon, int segment, int64_t number);

/* Decides about some entries of sk:lost, and removes those that are decided. False: a server does not answer. */
bool lost_decide_some(struct service *svc, struct arena *a);

#endif
