/*
 * The waiting list of a sale, as customers use it. A customer joins behind all others, and keeps the place until a unit
 * is promoted to it (promote.h), or until the customer leaves. The list is in the hub's slot, so its order is exact.
 * For the hot pool: nothing here blocks.
 */
#ifndef WAITING_QUEUE_H
#define WAITING_QUEUE_H

#include "sale/coupon.h"
#include "sale/owner.h"
#include "sale/service.h"
#include "sale/status.h"

struct queue_call {
	/* set by the caller, who owns the memory: it must stay until done is called, and done may free it */
	struct service *service;
	struct owner owner;
	void (*done)(struct queue_call *q, enum status s);

	/* the answer, during done */
	struct coupon *coupon;
	int segment;      /* the owner's home */
	int64_t sequence; /* with ALREADY_CLAIMED and LIMIT_REACHED: the order is COUPON-SEGMENT-SEQUENCE */
	int64_t position; /* with CREATED and OK: 1 is the next one who gets a unit */
	int64_t waiting;  /* queue_position with OK: how many people wait */

	/* used by queue.c only */
	void (*without_order)(struct queue_call *q);
	enum status trouble; /* STATUS_OK, or why the answers cannot be used */
	enum status joined;  /* the status once the entry is replicated */
	bool is_joining, is_promoted, is_ended;
	int64_t ends_ms;
};

/*
 * Each calls done exactly once, perhaps before it returns. All of them:
 *   ALREADY_CLAIMED  the owner has an order: a unit was promoted, or the customer has claimed one
 *   PROMOTED         a unit is promoted, and the order is being written: ask again in a moment
 *   NO_WAITING_LIST  this sale has none
 *   LIMIT_REACHED    the unit is above the sale's limit (sequence 0); or no other order is sold to this owner
 *   ENDED            the sale is over, and nobody waits any more
 *   NOT_REPLICATED   done, but fewer replicas than wait_replicas have it (queue_join and queue_leave)
 *   BUSY             the sale is being inspected: nothing was decided
 *   UNAVAILABLE      not executed: Redis is unreachable
 *   OUTCOME_UNKNOWN  sent, and not answered: asking again is safe
 *   FENCED           the sale is quarantined
 *   INTERNAL         an answer of Redis could not be read
 * queue_join also: CREATED, joined; OK, waits already; UNITS_LEFT, the customer should claim; LIST_FULL, waiting_max
 * people wait. An entry that was answered is on Redis's disk.
 * queue_position also: OK; NOT_WAITING.
 * queue_leave also: NO_CONTENT, left; NOT_WAITING. ALREADY_CLAIMED and PROMOTED: the order is to be cancelled instead.
 */
void queue_join(struct queue_call *q, struct coupon *c);
void queue_position(struct queue_call *q, struct coupon *c);
void queue_leave(struct queue_call *q, struct coupon *c);

#endif
