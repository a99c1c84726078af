/* The only place that inserts rows of the table orders. */
#ifndef ORDER_ORDER_ROW_H
#define ORDER_ORDER_ROW_H

#include "base/arena.h"
#include "sale/order_record.h"
#include "sale/service.h"

/*
 * Inserts a pending order for each record of a coupon, in the caller's transaction. The caller counts the units as
 * sold. 0; -1: the database has failed, for example with DB_DUPLICATE when the number or the customer has an order
 * already. Blocks.
 */
int order_insert(struct service *svc, struct arena *a, int64_t coupon, const struct order_record *const *records,
		 int count) MUST_CHECK;

#endif
