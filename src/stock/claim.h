/*
 * A claim: one unit for one customer, from the home segment. One script call
 * decides it; only when the segment is empty does stock have to travel.
 */
#ifndef STOCK_CLAIM_H
#define STOCK_CLAIM_H

#include "sale/coupon.h"
#include "sale/service.h"
#include "sale/status.h"

struct claim {
	/* set by the caller; the memory is the caller's, until done */
	struct service *service;
	int64_t user;
	void (*done)(struct claim *c, enum status s);
	void *context;

	/* the answer */
	int segment;
	int64_t sequence; /* won or already claimed: the order is coupon-segment-sequence */
	int64_t wait_ms;  /* not started: until the start */

	/* the engine's */
	struct coupon *coupon;
	struct claim *next;
	int64_t deadline_ms;     /* 0 until it has to wait */
	struct loop_timer retry; /* armed while it waits for an inspection */
	int64_t seen;            /* the segment's mark before the claim was sent */
	int64_t claimed_ms;      /* of an order that was won */
	enum status won;         /* what a winner is told, once its order is on enough servers */
	bool refound;            /* the coupon was read anew after FENCED */
	bool sent_again;         /* the order of before was gone when it was to be confirmed */
};

enum { PATIENCE_MS = 250 /* how long a claim waits for stock, or for an inspection */ };

/*
 * Claims a unit of the coupon; done is called exactly once, perhaps before this returns:
 *   CREATED           won: the order is in Redis, on disk there
 *   ALREADY_CLAIMED   the order this user won before, which is there now
 *   SOLD_OUT          on the hub's word only
 *   NOT_STARTED ENDED PAUSED
 *   NOT_REPLICATED    won, or won before, but the replicas that the settings ask for did not confirm in time
 *   BUSY              the hub could not say in time, or the sale is being inspected: nothing was decided
 *   UNAVAILABLE       not executed: Redis is away
 *   OUTCOME_UNKNOWN   sent, no answer: asking again tells
 *   FENCED            closed, as Redis does not have this sale as it must be
 */
void claim_submit(struct claim *c, struct coupon *coupon);

/* The hub's totals for a segment, and the base of the segment and the hub's term for which they are. */
struct totals {
	int64_t granted, taken, base, term;
};
/* For transfer.c: claims (again) after crediting the hub's totals, when there are any. */
void claim_send(struct claim *c, const struct totals *credit);

/* A call of lua/claim.lua that credits the totals and claims nothing. */
void claim_credit_command(struct redis_command *cmd, const struct coupon *coupon, int segment,
			  const struct totals *credit);

/* An answer of that script: its word, the numbers behind it, and all that is behind it. */
struct claim_answer {
	struct str word, rest;
	int numbers; /* how many there are, each from 0 to NUMBER_MAX */
	int64_t number[5];
};
struct claim_answer claim_answer(const struct redis_reply *reply);
void claim_end(struct claim *c, enum status s);
/* Sends it again a little later, or ends it as BUSY when it has waited long enough. */
void claim_retry(struct claim *c);

#endif
