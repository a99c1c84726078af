/* The only place that inserts rows of the table orders. */
#ifndef ORDER_ORDER_ROW_H
#define ORDER_ORDER_ROW_H

#include "base/arena.h"
#include "sale/order_record.h"
#include "sale/service.h"

/* Orders of one coupon. */
struct order_rows {
	int64_t coupon;
	int64_t pay_within_s; /* of the coupon; 0: no payment is asked for */
	const struct order_record *const *records;
	int count;
};

/*
 * Inserts an order for each record, in the caller's transaction: it is confirmed, or it is pending until its payment.
 * It may be paid until pay_within_s after its claim; when its row comes late, the customer still has a minute from now
 * by the clock of this host, or pay_within_s if that is shorter. 0; -1: the database has failed, for example with
 * DB_DUPLICATE when the number, or the customer for this unit, has an order already. Blocks.
 */
int order_insert(struct service *svc, struct arena *a, const struct order_rows *rows) MUST_CHECK;

/*
 * Counts as sold what order_insert has inserted, in the same transaction, and marks that the hub must be told when the
 * orders must be paid. Locks the coupon's row. False in *counted: MySQL counts fewer units than there would be orders,
 * or has no such coupon; nothing was done. 0; -1: the database has failed. Blocks.
 */
int order_count_sold(struct service *svc, int64_t coupon, int64_t orders, bool *counted) MUST_CHECK;

/*
 * Marks the entries of waiting lists that these orders were promoted from, in the same transaction. To be called after
 * order_count_sold, which has locked the coupon's row: whoever inserts an entry locks it, too, so either this finds the
 * entry, or the other finds the order. 0; -1: the database has failed. Blocks.
 */
int order_mark_promoted(struct service *svc, struct arena *a, const struct order_rows *rows) MUST_CHECK;

#endif
