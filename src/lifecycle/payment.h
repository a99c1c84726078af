/*
 * Payments and refunds: rows under the ids of a provider. What is to be refunded is derived from them, never stored by
 * hand. A payment may pay another order than the one it names, of the same coupon, when it came late. Blocks.
 */
#ifndef LIFECYCLE_PAYMENT_H
#define LIFECYCLE_PAYMENT_H

#include "base/arena.h"
#include "sale/order_number.h"
#include "sale/service.h"
#include "sale/status.h"

enum { PAYMENT_ID_MAX = 128 };

struct payment {
	struct str id;
	struct order_number order; /* that the payment names */
	struct order_number pays;  /* that it pays; sequence 0: none */
	int64_t amount, refunded;  /* in the smallest unit of the currency */
	int64_t due;               /* to be refunded */
	struct str currency;
	int64_t at_ms; /* when it was recorded, by the sale clock */
	bool late;     /* it came after its order was over, and a unit is being looked for */
};

struct refund {
	struct str id, payment;
	int64_t amount;
	struct str currency;
	int64_t at_ms;
};

/* 1 to 128 characters of A-Z a-z 0-9 _ . : - */
bool payment_is_id(struct str text);

/* "paid", "late", "refund-due", "refunded": what has become of a payment. */
const char *payment_text(const struct payment *p);

/* Reads the payments that name an order or pay it, at most PAYMENTS_MAX. STATUS_OK, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL. */
enum { PAYMENTS_MAX = 100 };
enum status payment_list(struct service *svc, struct arena *a, const struct order_number *order,
			 struct payment **payments, int *count);

/* A page of payments with something to refund: the smallest amounts first. The next page begins after its last one. */
struct refund_due_page {
	int64_t after_due; /* 0 and an empty id for the first page */
	struct str after_id;
	int limit;
	struct payment *payments; /* out, in the arena */
	int count;
};
enum status payment_refund_due(struct service *svc, struct arena *a, struct refund_due_page *page);

/* How many payments have something to refund. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status payment_refund_due_count(struct service *svc, struct arena *a, int64_t *count);

/* Reads up to `limit` late payments with ids above `after`, by id. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status payment_late(struct service *svc, struct arena *a, struct str after, int limit, struct payment **payments,
			 int *count);

/* In the caller's transaction. Each returns 0, or -1: the database has failed. */

/* Reads a payment and locks its row. *found is false when there is none. */
int payment_lock(struct service *svc, struct arena *a, struct str id, struct payment *p, bool *found) MUST_CHECK;
/* Inserts id, order, amount, currency, at_ms, pays and late. DB_DUPLICATE: another transaction has just inserted it. */
int payment_insert(struct service *svc, const struct payment *p) MUST_CHECK;
/* Inserts a refund. *is_new is false when its id was known, and nothing was inserted. */
int payment_insert_refund(struct service *svc, const struct refund *r, bool *is_new) MUST_CHECK;
/* Reads a refund that is there. */
int payment_read_refund(struct service *svc, struct arena *a, struct str id, struct refund *r) MUST_CHECK;
/* Sets `refunded` of a payment to the sum of its refunds. A late one that is refunded in full is late no more. */
int payment_sum_refunds(struct service *svc, struct str id) MUST_CHECK;
/* A late payment pays this order now, or (sequence 0) none, so that it is to be refunded. *changed: it was late. */
int payment_settle_late(struct service *svc, struct str id, const struct order_number *pays, bool *changed) MUST_CHECK;
/* The payments that pay this order pay none any more. */
int payment_release(struct service *svc, const struct order_number *order) MUST_CHECK;

#endif
