/* The handlers of the route table. Their answers are described in docs/openapi.yaml. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "http/request.h"

/* Pieces of the paths of route.def: /api/users/{user}/coupons/{coupon}, /api/orders/{no}. */
enum { PART_USER = 2, PART_ORDER = 2, PART_COUPON = 4 };

/* State that handlers keep from one request to the next; zeroed at the start. */
struct worker {
	struct shared_pages *pages;         /* hot pool */
	struct stock_change *stock_changes; /* cold pool: requests that added units and are not answered yet */
	struct sale_change *sale_changes;   /* cold pool: changes of sales that are decided and not answered yet */
	struct row_wait *row_waits;         /* cold pool: requests that wait until an order is in MySQL */
};

#define OTHER_SELLER "this is another seller's coupon: use that seller's token"

/*
 * keyed.c. To be called before anything else that a write of a seller does: checks the request's Idempotency-Key, sets
 * *k, and looks it up. Returns as request_key_find (account/request_key.h), or STATUS_BAD_REQUEST; all but STATUS_OK
 * and STATUS_REPEATED are the answer. *k must live until the answer, and its texts are the request's. Blocks.
 */
struct request_key;
enum status keyed_begin(struct request *rq, struct request_key *k);

/*
 * To be asked when the work has returned s. True: it was refused only because another worker has carried out the same
 * request meanwhile; go on as after STATUS_REPEATED. Blocks.
 */
bool keyed_was_done(struct request *rq, struct request_key *k, enum status s);

/* handle_auth.c */
handler handle_user_create, handle_login, handle_logout;

/* handle_claim.c; the second line: in the cold pool, when Redis does not have the coupon */
handler handle_claim, handle_claim_compat;
handler handle_coupon_unknown, handle_claim_compat_unknown;

/* handle_waiting.c; the last one: in the cold pool, whose customer has an order, or when Redis does not have the coupon
 */
handler handle_waiting_join, handle_waiting_read, handle_waiting_leave, handle_waiting_unknown;

/* handle_coupon.c */
handler handle_coupon_create, handle_stock_add, handle_coupon_read;

/* handle_sale.c; the third: in the cold pool, the page of a coupon that Redis does not have */
handler handle_sale_read, handle_sale_change, handle_coupon_read_unknown;

/* handle_list.c; the second: in the cold pool, the list of a customer, or of a seller whom Redis does not have */
handler handle_coupon_list, handle_list_unknown;
/* Frees the state that handlers have kept. To be called when no request is being answered. */
void worker_release(struct worker *w);

/* handle_order.c */
handler handle_order_read, handle_order_list, handle_coupon_orders;

/* handle_order_end.c */
handler handle_order_cancel, handle_order_payment;

/* handle_ops.c */
handler handle_time, handle_health, handle_ready, handle_metrics;

#endif
