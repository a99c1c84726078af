/* What happened to an order, as its customer and its seller read it. */
#ifndef LIFECYCLE_HISTORY_H
#define LIFECYCLE_HISTORY_H

#include "base/buf.h"
#include "sale/order_number.h"
#include "sale/service.h"
#include "sale/status.h"

/*
 * Writes the members `events` and `payments` of an order into a JSON object, oldest first, at most 100 of each. The ids
 * of payments, and reasons that name them, are for the seller only. STATUS_OK; STATUS_UNAVAILABLE and STATUS_INTERNAL:
 * the object is not complete. Blocks.
 */
enum status history_put(struct service *svc, struct buf *body, const struct order_number *order, bool for_seller);

#endif
