#include "order/coupon_orders.h"

#include <stdlib.h>

#include "sale/db_status.h"

enum { READ = COUPON_ORDERS_PAGE + 1 /* the last one shows that there is more */ };

/* Sets the coupon of *o and the fields that its orders have in common. */
static enum status find_coupon(struct service *svc, struct arena *a, const struct coupon_orders *page, struct order *o)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " ORDER_COUPON_COLUMNS ", c.id FROM coupons c JOIN users u ON u.id = c.seller_id "
		     "WHERE c.seller_id = ? AND c.name = ?",
		     &rows, DB_N(page->seller), DB_S(page->name)))
		return db_status(svc->db, "coupon_orders");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	order_take_coupon(rows.values, o);
	o->coupon = rows.values[ORDER_COUPON_COLUMN_COUNT].number;
	return STATUS_OK;
}

/* The index has the rows of a status by segment and sequence, because InnoDB completes it with the primary key. */
static enum status add_rows(struct service *svc, struct arena *a, const struct order *common, enum order_status status,
			    struct coupon_orders *page)
{
	struct db_rows rows;
	const struct order_number *after = &page->after;
	if (db_query(svc->db, a,
		     "SELECT " ORDER_COLUMNS ", b.name FROM orders o FORCE INDEX (orders_coupon_status) "
		     "LEFT JOIN users b ON b.id = o.user_id WHERE o.coupon_id = ? AND o.status = ? "
		     "AND (o.segment > ? OR (o.segment = ? AND o.seq > ?)) ORDER BY o.segment, o.seq LIMIT ?",
		     &rows, DB_N(common->coupon), DB_N(status), DB_N(after->segment), DB_N(after->segment),
		     DB_N(after->sequence), DB_N(READ)))
		return db_status(svc->db, "coupon_orders");
	for (int i = 0; i < rows.count && i < READ; i++) {
		struct order *o = &page->orders[page->count++];
		*o = *common;
		if (order_take_row(svc->db, db_row(&rows, i), o))
			return db_status(svc->db, "coupon_orders");
		o->customer_name = db_row(&rows, i)[ORDER_COLUMN_COUNT].text;
	}
	return STATUS_OK;
}

static int by_number(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	if (x->segment != y->segment)
		return x->segment < y->segment ? -1 : 1;
	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

enum status coupon_orders_read(struct service *svc, struct arena *a, struct coupon_orders *page)
{
	struct order common = { 0 };
	enum status s = find_coupon(svc, a, page, &common);
	if (s == STATUS_OK && page->after.sequence && page->after.coupon != common.coupon)
		s = STATUS_BAD_PAGE;
	page->orders = arena_alloc(a, sizeof *page->orders * READ * (ORDER_CONFIRMED - ORDER_PENDING + 1));
	page->count = 0;
	for (int status = ORDER_PENDING; s == STATUS_OK && status <= ORDER_CONFIRMED; status++)
		if (order_statuses_have(page->statuses, (enum order_status)status))
			s = add_rows(svc, a, &common, (enum order_status)status, page);
	qsort(page->orders, (size_t)page->count, sizeof *page->orders, by_number);
	page->has_more = page->count > COUPON_ORDERS_PAGE;
	if (page->has_more)
		page->count = COUPON_ORDERS_PAGE;
	return s;
}
