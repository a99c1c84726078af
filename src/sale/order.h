/* Orders as their owners and sellers see them: MySQL's rows, else dead letters, and before those the entries of Redis.
 * Blocks. */
#ifndef SALE_ORDER_H
#define SALE_ORDER_H

#include "base/arena.h"
#include "sale/service.h"
#include "base/status.h"

enum order_status { ORDER_QUEUED, ORDER_PENDING, ORDER_PAID, ORDER_CANCELLED, ORDER_EXPIRED, ORDER_FAILED };

struct order {
	int64_t coupon, sequence, user, seller;
	int segment;
	enum order_status status;
	struct str seller_name, coupon_name;
	int64_t stock;
	int64_t claimed_ms, confirmed_ms; /* confirmed_ms: 0 while queued */
};

/* "queued", "pending", ... */
const char *order_status_text(enum order_status s);

/* Reads "12-3-45"; false when it is not an order number. */
bool order_parse(struct str no, struct order *o);

/* Fills an order whose number is set. STATUS_OK, STATUS_NO_SUCH_ORDER, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status order_read(struct service *svc, struct arena *a, struct order *o);

/* A page (from 1) of a user's orders, newest first, of at most `size`; in the arena. */
enum status order_list(struct service *svc, struct arena *a, int64_t user, int64_t page, int size,
		       struct order **orders, int *count);

#endif
