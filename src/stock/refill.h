/*
 * A refill brings stock to a segment that is empty: a grant of the hub, or, when the hub is empty, units that other
 * segments return to the hub. A worker has one refill for a segment at a time, and all claims of the worker that met
 * the empty segment wait for it.
 *
 * Messages between hub and segments carry totals, so a message that is lost, late or repeated does no harm
 * (lua/exchange.lua explains why), and a refill may end at any step. Messages also carry the base of the segment and
 * the term of the hub: after a failover, the side that lost data refuses messages from before the failover.
 */
#ifndef STOCK_REFILL_H
#define STOCK_REFILL_H

#include "stock/claim_script.h"

/* How long a refill keeps asking before its waiters get BUSY, and how long a claim waits in all. */
enum { REFILL_PATIENCE_MS = 250 };

/* A segment at one moment: totals received and sent back, units left, its base, and the hub's term that it has. */
struct report {
	int segment;
	int64_t received, sent, left, base, term;
	int64_t ms; /* the moment, by the clock of the segment's server; only of a segment that a claim found empty */
};

/* A claim that waits for a refill: a member of the caller's struct, which stays until done is called. */
struct refill_waiter {
	/*
	 * Set by the caller, and called exactly once; done may free the waiter:
	 *   OK        claim again; when credit is not NULL, credit it in the same script call. It is valid during done
	 *   PENDING   wait a little, then claim again
	 *   WAITING_LIST  the hub keeps its units for people who wait: claim once more, and wait no more
	 *   BUSY      nothing was decided in time, or a server does not answer
	 *   FENCED    the hub or a segment is quarantined
	 *   INTERNAL  an answer could not be read
	 */
	void (*done)(struct refill_waiter *w, enum status s, const struct totals *credit);
	struct refill_waiter *next; /* used by refill.c only */
};

/*
 * Waits for the refill of the segment that home reports as empty, and starts one when none runs. Does not block; done
 * may be called before this returns.
 */
void refill_wait(struct service *svc, struct coupon *c, const struct report *home, struct refill_waiter *w);

/* Waits for the refill of a segment, if one runs. False: no refill runs, and done will not be called. */
bool refill_join(const struct coupon *c, int segment, struct refill_waiter *w);

#endif
