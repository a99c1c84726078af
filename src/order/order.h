/*
 * Orders as customers and sellers see them: an order is read from its row in MySQL, else from the list of its segment
 * in Redis, else from its dead letter. Blocks.
 */
#ifndef ORDER_ORDER_H
#define ORDER_ORDER_H

#include "account/token.h"
#include "base/arena.h"
#include "order/order_status.h"
#include "sale/coupon.h"
#include "sale/service.h"
#include "sale/status.h"

struct order {
	int64_t coupon, sequence, user, seller;
	int segment;
	enum order_status status;
	struct str seller_name, coupon_name, description;
	int64_t stock;
	int64_t claimed_ms;   /* 0: not known */
	int64_t confirmed_ms; /* 0 while the order is queued, failed or lost */
};

/* "queued", "pending", ... */
const char *order_status_text(enum order_status s);

/* Sets coupon, segment and sequence from "12-3-45". False: the text is not an order number. */
bool order_parse(struct str no, struct order *o);

/*
 * Reads an order of which coupon, segment and sequence are set. STATUS_OK, STATUS_NO_SUCH_ORDER, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL.
 */
enum status order_read(struct service *svc, struct arena *a, struct order *o);

/*
 * Reads an order for its customer or its seller; others get STATUS_NO_SUCH_ORDER. A number that may have been
 * acknowledged to this user never gives STATUS_NO_SUCH_ORDER: if the order is in no place, it is ORDER_LOST, or the
 * result is STATUS_BUSY while its segment is suspect, and STATUS_FENCED while its segment is quarantined.
 */
enum status order_read_for(struct service *svc, struct arena *a, const struct token *who, struct order *o);

/*
 * Reads an order that rowless_find has found: its number and user are set. If nothing more can be read, it is
 * ORDER_QUEUED. STATUS_OK; STATUS_NO_SUCH_ORDER: there is no such coupon, or the order is another customer's;
 * STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status order_read_found(struct service *svc, struct arena *a, struct order *o);

/*
 * The same without MySQL. STATUS_OK: it is ORDER_QUEUED; STATUS_NO_SUCH_ORDER: it is not on the list of its segment, or
 * Redis does not have its coupon; STATUS_UNAVAILABLE.
 */
enum status order_read_queued(struct service *svc, struct arena *a, struct order *o);

/*
 * Sets the fields that an order has from its coupon, and id, segments, generation and hash_key of *c. STATUS_OK;
 * STATUS_NO_SUCH_ORDER: MySQL does not have the coupon, or it has no such segment; STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status order_read_coupon(struct service *svc, struct arena *a, struct order *o, struct coupon *c);

/* A page, from 1, of a user's orders, newest first. */
struct order_page {
	int64_t user, number;
	int size;
	bool may_lack_rows; /* while MySQL does not answer, the page is of the orders that are on lists */

	/* out */
	struct order *orders; /* in the arena */
	int count;
	bool lacks_rows;
	const char *problem; /* with STATUS_BUSY: the reason, for the customer */
};

/*
 * The orders are the rows of MySQL and what rowless_find has found. An order that was acknowledged before the call is
 * among them. STATUS_OK, STATUS_UNAVAILABLE, STATUS_BUSY, STATUS_INTERNAL.
 */
enum status order_list(struct service *svc, struct arena *a, struct order_page *page);

#endif
