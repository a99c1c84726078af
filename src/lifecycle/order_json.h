/* An order as JSON, as its customer and its seller read it. */
#ifndef LIFECYCLE_ORDER_JSON_H
#define LIFECYCLE_ORDER_JSON_H

#include "base/buf.h"
#include "order/order.h"

/* Writes what an order is as members of an object. */
void order_put(struct buf *body, const struct order *o);

/*
 * Writes more members: `checkout_url` while the order waits for its payment, and `events` and `payments`, oldest first,
 * at most 100 of each. The ids of payments, and reasons that name them, are for the seller only. STATUS_OK;
 * STATUS_UNAVAILABLE and STATUS_INTERNAL: the object is not complete. Blocks.
 */
enum status order_put_history(struct service *svc, struct buf *body, const struct order *o, bool for_seller);

#endif
