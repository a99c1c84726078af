/* Orders as their owners and sellers see them: MySQL's rows, else dead letters, and before those the entries of Redis.
 * Blocks. */
#ifndef ORDER_ORDER_H
#define ORDER_ORDER_H

#include "account/token.h"
#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

/* From PENDING to CONFIRMED as MySQL has them. */
enum order_status {
	ORDER_QUEUED,
	ORDER_PENDING,
	ORDER_PAID,
	ORDER_CANCELLED,
	ORDER_EXPIRED,
	ORDER_CONFIRMED,
	ORDER_FAILED, /* MySQL refused it */
	ORDER_LOST    /* the servers that had it have lost it */
};

struct order {
	int64_t coupon, sequence, user, seller;
	int segment;
	enum order_status status;
	struct str seller_name, coupon_name;
	int64_t stock;
	int64_t claimed_ms,
		confirmed_ms; /* claimed_ms: 0 when it is not known; confirmed_ms: while queued, failed or lost */
};

/* "queued", "pending", ... */
const char *order_status_text(enum order_status s);

/* Reads "12-3-45"; false when it is not an order number. */
bool order_parse(struct str no, struct order *o);

/*
 * Fills an order whose number is set: as MySQL has it, its list or a dead letter. STATUS_OK, STATUS_NO_SUCH_ORDER,
 * STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status order_read(struct service *svc, struct arena *a, struct order *o);

/*
 * The same for its customer or its seller; to anybody else there is no such order. To its customer a number that
 * somebody may have been told never is: where nothing is known of it, it is ORDER_LOST, or STATUS_BUSY while its
 * segment is inspected, STATUS_FENCED while that is closed.
 */
enum status order_read_for(struct service *svc, struct arena *a, const struct token *who, struct order *o);

/*
 * The same for an entry of its customer's own list: its number, user and claimed_ms are set. Where no more can be read
 * it is ORDER_QUEUED. False: it is an entry of no order, or of somebody else's.
 */
bool order_read_listed(struct service *svc, struct arena *a, struct order *o);

/*
 * A page (from 1) of a user's orders, newest first, of at most `size` (20); in the arena: the rows of MySQL, and what
 * the customer's own list has besides. The first page also enters there what it lacks. STATUS_OK, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL.
 */
enum status order_list(struct service *svc, struct arena *a, int64_t user, int64_t page, int size,
		       struct order **orders, int *count);

#endif
