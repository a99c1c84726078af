/*
 * How an order ends: cancelled or expired. Each function is one transaction, which changes the row of an order only
 * from a state that allows it, and writes all that follows in MySQL (ending.h). Who comes second is answered from the
 * state that the first has left; all may be repeated. Locks: rows of orders by their key, then payments, the coupon's
 * row last. Redis is only asked for the time. Blocks.
 */
#ifndef LIFECYCLE_TRANSITION_H
#define LIFECYCLE_TRANSITION_H

#include "account/request_key.h"
#include "lifecycle/event.h"

struct cancellation {
	struct order_number order;
	enum actor actor;              /* customer, seller, operator */
	int64_t user;                  /* of the customer or the seller */
	struct str reason;             /* may be empty */
	const struct request_key *key; /* NULL: none; it is written with the cancellation */
	int64_t customer;              /* out: whose order it was */
	bool now;                      /* out: this call has cancelled it */
};

/* NULL, or what is wrong with a reason that somebody gives, a constant. A seller and an operator must give one. */
const char *cancellation_reason_problem(struct str reason);

/*
 * STATUS_OK: cancelled, now or before; STATUS_ALREADY_PAID: only its seller and operators may cancel it;
 * STATUS_ALREADY_EXPIRED; STATUS_NO_SUCH_ORDER: it is neither this customer's nor of this seller; STATUS_PENDING: MySQL
 * has no row of it (yet); STATUS_IN_PROGRESS: a request with this key was faster; STATUS_UNAVAILABLE: perhaps done;
 * STATUS_INTERNAL.
 */
enum status order_cancel(struct service *svc, struct arena *a, struct cancellation *c);

/* A row of unpaid_orders. */
struct unpaid {
	int64_t pay_by_ms, sequence;
	int segment;
};

enum { EXPIRE_MAX = 500 };

struct expiry {
	int64_t coupon, now_ms;      /* now_ms: the sale clock */
	const struct unpaid *orders; /* of unpaid_orders, in any order */
	int count;                   /* at most EXPIRE_MAX */
	int expired;                 /* out: orders that this call has expired; each has a row in returned_orders */
	int stale; /* out: rows of unpaid_orders that were removed, as their orders wait for nothing */
};

/*
 * Expires the orders that still wait for their payment, if their pay_by_ms is at least pay_grace_s before now_ms, and
 * leaves the others. STATUS_OK, also when none expired; STATUS_UNAVAILABLE: perhaps done; STATUS_INTERNAL.
 */
enum status order_expire(struct service *svc, struct arena *a, struct expiry *e);

#endif
