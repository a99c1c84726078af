/* The orders of a coupon, for its seller. */
#ifndef ORDER_COUPON_ORDERS_H
#define ORDER_COUPON_ORDERS_H

#include "order/order.h"
#include "sale/order_number.h"

enum { COUPON_ORDERS_PAGE = 100 };

/* A page of a seller's coupon: the orders that have a row in MySQL and one of these statuses, by segment and sequence.
 */
struct coupon_orders {
	int64_t seller;
	struct str name;
	unsigned statuses;         /* of ORDER_ROWS */
	struct order_number after; /* the last order of the page before; sequence 0: this is the first page */

	/* out, in the arena */
	struct order *orders;
	int count;
	bool has_more;
};

/*
 * STATUS_OK; STATUS_NO_SUCH_COUPON; STATUS_BAD_PAGE: `after` is an order of another coupon; STATUS_UNAVAILABLE;
 * STATUS_INTERNAL. Reads at most 101 rows for each status, through an index. Blocks.
 */
enum status coupon_orders_read(struct service *svc, struct arena *a, struct coupon_orders *page);

#endif
