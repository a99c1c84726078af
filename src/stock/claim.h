/*
 * A claim: one of the units that a customer may have, from the customer's home segment. One script call decides it;
 * when the segment is empty, the claim waits for a refill first.
 */
#ifndef STOCK_CLAIM_H
#define STOCK_CLAIM_H

#include "sale/coupon.h"
#include "sale/service.h"
#include "sale/status.h"
#include "stock/refill.h"

struct claim {
	/* set by the caller, who owns the memory: it must stay until done is called, and done may free it */
	struct service *service;
	int64_t user;
	int unit; /* which of the customer's units of the coupon: 1 to UNITS_MAX */
	void (*done)(struct claim *c, enum status s);
	void *context;

	/* the answer */
	struct coupon *coupon; /* during done */
	int segment;
	int64_t sequence; /* with CREATED and ALREADY_CLAIMED: the order is COUPON-SEGMENT-SEQUENCE; with LIMIT_REACHED:
			     the last one, or 0 above the coupon's limit */
	/*
	 * With NOT_STARTED: until the start. With ALL_HELD: until the first unpaid order is due, below 0 if it is
	 * overdue; INT64_MAX: unknown.
	 */
	int64_t wait_ms;

	/* used by claim.c only */
	struct refill_waiter waiter;
	int64_t deadline_ms;     /* of all its waits, by clock_mono_ms; 0: it has not waited yet */
	struct loop_timer retry; /* set while the claim waits for an inspection or an opening of the hub */
	struct totals credit;    /* what it carries to the segment; granted is 0: nothing */
	int64_t acknowledged;    /* this host's highest number in the segment when the claim was sent */
	int64_t claimed_ms;      /* of an order that was won */
	enum status won;         /* the status of a winner, once the order is replicated */
	bool was_reread;         /* the coupon was read again after FENCED */
	bool was_sent_again;     /* after the earlier order was found missing */
	bool must_wait;          /* the hub keeps its units for people who wait */
};

/*
 * Claims this unit of the coupon. Does not block; done is called exactly once, perhaps before this returns:
 *   CREATED           won: the order is on a list in Redis, and on its disk
 *   ALREADY_CLAIMED   the order of this unit that this user won before, and still has
 *   SOLD_OUT          the hub declared the coupon sold out
 *   ALL_HELD          the same, but some of the orders may still end without payment: their units would come back
 *   WAITING_LIST      the same, or people wait for the units that are left: the customer may wait, too
 *   LIMIT_REACHED     the unit is above the coupon's limit; or too many orders of this user and unit have expired, or
 *                     were cancelled by the user: no other one is sold
 *   NOT_STARTED ENDED PAUSED
 *   NOT_REPLICATED    won, now or before, but fewer replicas than wait_replicas have the order
 *   BUSY              no stock came within REFILL_PATIENCE_MS, or the coupon is being inspected: nothing was decided
 *   UNAVAILABLE       not executed: Redis is unreachable
 *   OUTCOME_UNKNOWN   sent, and not answered: claiming again gives the outcome
 *   FENCED            the coupon is quarantined
 *   NO_SUCH_COUPON    Redis does not have the coupon any more: it is archived, or Redis has lost it
 *   INTERNAL          an answer of Redis could not be read
 */
void claim_submit(struct claim *c, struct coupon *coupon);

#endif
