/*
 * Orders as customers and sellers see them: an order is read from its row in MySQL, else from the list of its segment
 * in Redis, else from its dead letter. Blocks.
 */
#ifndef ORDER_ORDER_H
#define ORDER_ORDER_H

#include "account/token.h"
#include "base/arena.h"
#include "mysql/db.h"
#include "sale/order_status.h"
#include "sale/coupon.h"
#include "sale/service.h"
#include "sale/status.h"

struct order {
	int64_t coupon, sequence, user, seller;
	int segment;
	int unit; /* which of the customer's units of the coupon; 0: not known */
	enum order_status status;
	struct str seller_name, coupon_name, description;
	int64_t stock, price;
	struct str currency, checkout_url; /* as the coupon has them */
	int64_t claimed_ms;                /* 0: not known */
	int64_t confirmed_ms;              /* 0 while the order is queued, failed or lost */
	int64_t pay_by_ms;                 /* 0: no payment was asked for, or the order has no row */
	struct str customer_name;          /* only for its seller; empty: MySQL does not have the customer */
};

/* Columns of orders o, of coupons c joined with their sellers u, and what reads them. Texts stay those of the row. */
#define ORDER_COLUMNS                                                                                                  \
	"o.coupon_id, o.segment, o.seq, o.user_id, o.status, o.claimed_at_ms, o.confirmed_at_ms, o.pay_by_ms, o.unit"
#define ORDER_COUPON_COLUMNS "c.seller_id, u.name, c.name, c.stock, c.description, c.price, c.currency, c.checkout_url"
enum { ORDER_COLUMN_COUNT = 9, ORDER_COUPON_COLUMN_COUNT = 8 };
/* 0; -1: a value is out of bounds, which counts as a failure of the database. */
int order_take_row(struct db *db, const struct db_value *row, struct order *o) MUST_CHECK;
void order_take_coupon(const struct db_value *row, struct order *o);

/* Sets coupon, segment and sequence from "12-3-45". False: the text is not an order number. */
bool order_parse(struct str no, struct order *o);

/*
 * Reads an order of which coupon, segment and sequence are set. STATUS_OK, STATUS_NO_SUCH_ORDER, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL.
 */
enum status order_read(struct service *svc, struct arena *a, struct order *o);

/*
 * Reads an order for its customer or its seller; others get STATUS_NO_SUCH_ORDER. Its seller
 * gets customer_name, too. A number that may have been
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
 * Sets the fields that an order has from its coupon, and id, segments, generation, hash_key and limit of *c. STATUS_OK;
 * STATUS_NO_SUCH_ORDER: MySQL does not have the coupon, or it has no such segment; STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status order_read_coupon(struct service *svc, struct arena *a, struct order *o, struct coupon *c);

/* A page, from 1, of a user's orders with one of these statuses, newest first. */
struct order_page {
	int64_t user, number;
	int size;
	unsigned statuses;
	bool may_lack_rows; /* while MySQL does not answer, the page is of the orders that are on lists */

	/* out */
	struct order *orders; /* in the arena */
	int count;
	bool has_more; /* orders behind this page */
	bool lacks_rows;
	const char *problem; /* with STATUS_BUSY: the reason, for the customer */
};

/*
 * The orders are the rows of MySQL and what rowless_find has found. An order that was acknowledged before the call is
 * among them. STATUS_OK, STATUS_UNAVAILABLE, STATUS_BUSY, STATUS_INTERNAL.
 */
enum status order_list(struct service *svc, struct arena *a, struct order_page *page);

#endif
