/*
 * What a payment provider, or an operator, reports about an order. Each function is one transaction under the rules of
 * transition.h. A report is recorded once, under the ids of its payment and refund; of a known one the recorded values
 * count, and a report of other values changes nothing but is told: by an event, in the log, and to the caller. Redis is
 * only asked for the time. Blocks.
 */
#ifndef LIFECYCLE_REPORT_H
#define LIFECYCLE_REPORT_H

#include "lifecycle/event.h"
#include "lifecycle/payment.h"
#include "order/order.h"

enum report_kind { REPORT_PAID, REPORT_FAILED, REPORT_REFUNDED, REPORT_OTHER };

struct report {
	enum report_kind kind;
	enum actor actor; /* provider or operator */
	struct order_number order;
	struct str source;          /* the id of the message: a repeated failure is one event */
	struct str payment, refund; /* ids; refund: REPORT_REFUNDED only; payment: empty if a failure names none */
	int64_t amount;             /* of the payment or the refund */
	struct str currency;
	bool lacks_row; /* the order failed or is lost, so it will have no row */

	/* out */
	enum order_status status; /* of the order; ORDER_LOST when it has no row */
	const char *outcome;      /* "paid", "late", "refund-due", "refunded", "failed", "conflict" */
	const char *conflict;     /* NULL, or how the recorded values differ from these; in the arena */
};

/*
 * Records a payment, and makes the order paid if it can take it; or a refund; or a failure. Not for REPORT_OTHER.
 * STATUS_OK: recorded, now or before; STATUS_NO_SUCH_ORDER: there is no such coupon; STATUS_PENDING: MySQL has no row
 * of the order (yet), and lacks_row is not set; STATUS_UNAVAILABLE: perhaps recorded; STATUS_INTERNAL.
 */
enum status order_report(struct service *svc, struct arena *a, struct report *r);

/*
 * A late payment pays another order, which its customer has got meanwhile. STATUS_OK: it does, or it was not late any
 * more. Nothing was done: STATUS_NO_SUCH_ORDER (another customer's), STATUS_ALREADY_PAID, STATUS_ALREADY_CANCELLED,
 * STATUS_ALREADY_EXPIRED, STATUS_PENDING (no row yet). STATUS_UNAVAILABLE: perhaps done; STATUS_INTERNAL.
 */
enum status order_pay_late(struct service *svc, struct arena *a, const struct payment *late,
			   const struct order_number *order);

/*
 * No unit was found for a late payment: it is to be refunded. STATUS_OK, also when it was not late any more;
 * STATUS_UNAVAILABLE: perhaps done; STATUS_INTERNAL.
 */
enum status order_refuse_late(struct service *svc, struct arena *a, const struct payment *late, struct str reason);

#endif
