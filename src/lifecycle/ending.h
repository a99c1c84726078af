/*
 * Orders that end: their units go back on sale. Writes everything that an ending is in MySQL: status, unpaid_orders,
 * returned_orders, the event, and last the totals of the coupon. In the caller's transaction, which has locked the
 * rows.
 */
#ifndef LIFECYCLE_ENDING_H
#define LIFECYCLE_ENDING_H

#include "lifecycle/event.h"
#include "order/order.h"

enum {
	ENDING_MAX = 512,
	ENDINGS_MAX =
		3, /* so many orders of a customer, coupon and unit end by ENDING_COUNTS; then there is no other one */
};

/*
 * SQL, of a row o of orders: it ended, and its customer let it. It expired, or its customer has cancelled it; what a
 * seller or an operator cancels does not count.
 */
#define ENDING_COUNTS                                                                                                  \
	"(o.status = 4 OR (o.status = 3 AND EXISTS (SELECT 1 FROM order_events e WHERE e.coupon_id = o.coupon_id "     \
	"AND e.segment = o.segment AND e.seq = o.seq AND e.kind = 2 AND e.actor = 1)))"

struct ending_order {
	int64_t sequence;
	int64_t pay_by_ms; /* of its row in unpaid_orders */
	int segment;
};

struct ending {
	int64_t coupon, at_ms;
	enum order_status from, to; /* `from` of all these orders */
	bool was_final;             /* their units counted as final */
	enum event_kind kind;
	enum actor actor;
	struct str reason;
	const struct ending_order *orders; /* in the order of their key */
	int count;                         /* 1 to ENDING_MAX */
};

/* 0; -1: the database has failed, or its numbers contradict each other, which was logged. */
int ending_write(struct service *svc, struct arena *a, const struct ending *e) MUST_CHECK;

/* Deletes the rows of unpaid_orders of these orders. 0; -1: the database has failed. */
int ending_forget_unpaid(struct service *svc, struct arena *a, const struct ending *e) MUST_CHECK;

/* Reads and locks the rows of orders. They are in *rows: segment, seq, status, pay_by_ms. 0; -1. */
int ending_lock(struct service *svc, struct arena *a, const struct ending *e, struct db_rows *rows) MUST_CHECK;

#endif
