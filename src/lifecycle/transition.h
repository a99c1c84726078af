/*
 * How the row of an order changes after it was inserted: paid, cancelled, expired. Each function is one transaction
 * that changes the row only from the states it names, and writes the event, the totals of the coupon, and for a unit
 * that comes back the row of returned_orders; the coupon gets hub_told = 0. Locks: rows of orders by their key, then
 * payments, the coupon's row last. A lost race is repeated a few times, so who comes second is answered from the state
 * that the first has left. All may be repeated. Nothing is written to Redis; its clock is asked for the time, and
 * without it this host's. Blocks.
 */
#ifndef LIFECYCLE_TRANSITION_H
#define LIFECYCLE_TRANSITION_H

#include "lifecycle/event.h"
#include "lifecycle/payment.h"
#include "order/order.h"

/*
 * Statuses of all functions, besides their own: STATUS_PENDING: MySQL has no row of this order (yet), and nothing was
 * done; STATUS_BUSY: too many lost races; STATUS_UNAVAILABLE: perhaps done; STATUS_INTERNAL.
 */

struct cancellation {
	struct order_number order;
	enum actor actor;  /* customer, seller, operator */
	int64_t user;      /* of the customer or the seller */
	struct str reason; /* may be empty */
	int64_t customer;  /* out: whose order it was */
	bool now;          /* out: this call has cancelled it */
};

/*
 * STATUS_OK: cancelled, now or before; STATUS_ALREADY_PAID (a customer; others may cancel it), STATUS_ALREADY_EXPIRED;
 * STATUS_NO_SUCH_ORDER: it is neither this customer's nor of this seller's coupon.
 */
enum status order_cancel(struct service *svc, struct arena *a, struct cancellation *c);

/* What a payment provider, or an operator, reports about an order. */
enum report_kind { REPORT_PAID, REPORT_FAILED, REPORT_REFUNDED };
struct report {
	enum report_kind kind;
	enum actor actor;
	struct order_number order;
	struct str source;          /* the id of the message: a repeated REPORT_FAILED is one event */
	struct str payment, refund; /* ids; refund: REPORT_REFUNDED only; payment may be empty: REPORT_FAILED */
	int64_t amount;             /* of the payment or of the refund */
	struct str currency;
	bool lacks_row;           /* in: the order is lost or failed, so no row is waited for */
	enum order_status status; /* out: of the order; ORDER_LOST when it lacks its row */
	const char *outcome;      /* out: "paid", "late", "refund-due", "refunded", "failed" */
};

/*
 * Records a payment, and makes the order paid if it is the first one of the right amount; or a refund; or a failure. Of
 * a known payment or refund the recorded values count. STATUS_OK: recorded, now or before.
 */
enum status order_report(struct service *svc, struct arena *a, struct report *r);

/*
 * A late payment pays another order of the same customer. STATUS_OK: it does, or was not late any more;
 * STATUS_NO_SUCH_ORDER: that order is not this customer's or is over (STATUS_ALREADY_CANCELLED, STATUS_ALREADY_EXPIRED)
 * or is paid otherwise (STATUS_ALREADY_PAID), and nothing was done.
 */
enum status order_pay_late(struct service *svc, struct arena *a, const struct payment *late,
			   const struct order_number *order);
/* No unit was found for a late payment: it is to be refunded. STATUS_OK, also when it was not late any more. */
enum status order_refuse_late(struct service *svc, struct arena *a, const struct payment *late, struct str reason);

/* A row of unpaid_orders. */
struct unpaid {
	int64_t pay_by_ms, sequence;
	int segment;
};

enum { EXPIRE_MAX = 500 };

struct expire_result {
	int expired; /* orders that this call has expired: each has a row in returned_orders */
	int stale; /* rows of unpaid_orders that were removed, because their order does not wait for payment any more */
};

/*
 * Expires those of the orders of one coupon, at most EXPIRE_MAX, that are unpaid and due: pay_by_ms + pay_grace_s is
 * not after now_ms, the sale clock. The others are left. STATUS_OK, also when none was. A row without an order is
 * stale.
 */
struct expire_batch {
	int64_t coupon, now_ms;
	const struct unpaid *orders;
	int count;
};
enum status order_expire(struct service *svc, struct arena *a, const struct expire_batch *batch,
			 struct expire_result *result);

#endif
