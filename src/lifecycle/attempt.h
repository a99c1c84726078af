/*
 * One transaction that ends or pays orders: begun, committed, and repeated when it lost a race. What all of them read
 * first is here, too. Blocks.
 */
#ifndef LIFECYCLE_ATTEMPT_H
#define LIFECYCLE_ATTEMPT_H

#include "base/arena.h"
#include "order/order.h"
#include "sale/order_number.h"
#include "sale/service.h"
#include "sale/status.h"

/*
 * The statements of a transaction. It is committed after STATUS_OK, and rolled back after any other status.
 * STATUS_INTERNAL: the database has failed; after a deadlock and the like, `once` is called again, a few times.
 */
typedef enum status attempt_once(struct service *svc, struct arena *a, void *context);

/* Returns what `once` did, or the status of the database's failure, which is logged with `at` as the place. */
enum status attempt(struct service *svc, struct arena *a, const char *at, attempt_once *once, void *context);

/* The sale clock; if Redis does not answer, this host's. */
int64_t attempt_clock_ms(struct service *svc, struct arena *a);

struct order_row {
	int64_t user, pay_by_ms;
	enum order_status status;
	int unit; /* which of the customer's units of the coupon */
};

static inline struct owner order_row_owner(const struct order_row *row)
{
	return (struct owner){ row->user, row->unit };
}

/* Reads the row of an order, and locks it. STATUS_OK; STATUS_PENDING: there is none; STATUS_INTERNAL. */
enum status order_row_lock(struct service *svc, struct arena *a, const struct order_number *n, struct order_row *row);

/* What a coupon asks for its orders; fixed at its creation. */
struct terms {
	int64_t seller, price;
	struct str currency;
	bool must_pay;     /* orders that are not paid expire */
	bool late_payment; /* a payment after that gets a unit, if one is left */
};

/* STATUS_OK; STATUS_NO_SUCH_ORDER: there is no such coupon; STATUS_INTERNAL. */
enum status terms_read(struct service *svc, struct arena *a, int64_t coupon, struct terms *t);

#endif
