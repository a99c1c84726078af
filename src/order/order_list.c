/*
 * A customer's orders are the rows of MySQL, and the orders that have no row yet, which are looked for first.
 */
#include <stdlib.h>

#include "order/order.h"
#include "order/rowless.h"
#include "sale/db_status.h"

enum {
	NEWEST_ROWS = 400, /* most orders that were found have one of these rows, or of as many as they are */
	MERGED = 1000,     /* so many rows may be read for one page */
};

static bool is_confirmed(const struct db_rows *rows, const struct order *o)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		if (v[0].number == o->coupon && v[1].number == o->segment && v[2].number == o->sequence)
			return true;
	}
	return false;
}

/* Redis was asked before MySQL, so an order that a drainer moved in between is in `confirmed`. */
static enum status add_found(struct service *svc, struct arena *a, const struct rowless *found, struct order_page *page)
{
	struct db_rows confirmed;
	if (!found->count)
		return STATUS_OK;
	if (db_query(svc->db, a,
		     "SELECT coupon_id, segment, seq FROM orders WHERE user_id = ? ORDER BY claimed_at_ms DESC LIMIT ?",
		     &confirmed, DB_N(page->user), DB_N(found->count > NEWEST_ROWS ? found->count : NEWEST_ROWS)))
		return db_status(svc->db, "orders");
	for (int i = 0; i < found->count; i++) {
		struct order o = found->orders[i];
		if (is_confirmed(&confirmed, &o))
			continue;
		enum status s = order_read_found(svc, a, &o);
		if (s == STATUS_NO_SUCH_ORDER) /* MySQL may have lost the coupon: Redis has it */
			s = order_read_queued(svc, a, &o);
		if (s == STATUS_OK && order_statuses_have(page->statuses, o.status))
			page->orders[page->count++] = o;
		else if (s != STATUS_OK && s != STATUS_NO_SUCH_ORDER)
			return s;
	}
	return STATUS_OK;
}

/* An order that was queued and has a row now is shown once, as its row. */
static void put_row(struct order_page *page, const struct order *row)
{
	struct order *o = page->orders, *end = o + page->count;
	while (o < end && (o->coupon != row->coupon || o->segment != row->segment || o->sequence != row->sequence))
		o++;
	*o = *row;
	page->count += o == end;
}

static enum status add_rows(struct service *svc, struct arena *a, int64_t offset, int64_t limit,
			    struct order_page *page)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " ORDER_COLUMNS ", " ORDER_COUPON_COLUMNS
		     " FROM orders o JOIN coupons c ON c.id = o.coupon_id "
		     "JOIN users u ON u.id = c.seller_id WHERE o.user_id = ? AND (? >> o.status) & 1 "
		     "ORDER BY o.claimed_at_ms DESC, o.coupon_id DESC, o.segment DESC, o.seq DESC LIMIT ? OFFSET ?",
		     &rows, DB_N(page->user), DB_N(page->statuses), DB_N(limit), DB_N(offset)))
		return db_status(svc->db, "orders");
	for (int i = 0; i < rows.count && i < limit; i++) {
		struct order row = { 0 };
		if (order_take_row(svc->db, db_row(&rows, i), &row))
			return db_status(svc->db, "orders");
		order_take_coupon(db_row(&rows, i) + ORDER_COLUMN_COUNT, &row);
		put_row(page, &row);
	}
	return STATUS_OK;
}

/* As the index of customers has them, backwards. */
static int newer_first(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	const int64_t keys[][2] = { { x->claimed_ms, y->claimed_ms },
				    { x->coupon, y->coupon },
				    { x->segment, y->segment },
				    { x->sequence, y->sequence } };
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (keys[i][0] != keys[i][1])
			return keys[i][0] < keys[i][1] ? 1 : -1;
	return 0;
}

/* Sorts the orders, and leaves those of the page. */
static void cut_page(struct order_page *page, int64_t skip)
{
	qsort(page->orders, (size_t)page->count, sizeof *page->orders, newer_first);
	skip = skip < page->count ? skip : page->count;
	page->orders += skip;
	page->count -= (int)skip;
	page->has_more = page->count > page->size;
	if (page->has_more)
		page->count = page->size;
}

static enum status add_queued(struct service *svc, struct arena *a, const struct rowless *found,
			      struct order_page *page)
{
	enum status s = STATUS_OK;
	page->count = 0;
	for (int i = 0; i < found->count && s != STATUS_UNAVAILABLE; i++) {
		struct order o = found->orders[i];
		s = order_read_queued(svc, a, &o);
		if (s == STATUS_OK)
			page->orders[page->count++] = o;
	}
	return s == STATUS_UNAVAILABLE ? s : STATUS_OK;
}

/*
 * The first row to be read, so that the page is right whichever of the orders found are newer. An order that gets its
 * row meanwhile would count twice, unless all rows before the page are read, too.
 */
static int64_t first_row(const struct order_page *page, int64_t skip)
{
	if (skip + page->size <= MERGED || skip <= page->count)
		return 0;
	return skip - page->count;
}

enum status order_list(struct service *svc, struct arena *a, struct order_page *page)
{
	struct rowless found;
	int64_t first = 0, skip = (page->number - 1) * page->size;
	enum status s = rowless_find(svc, a, page->user, &found);
	page->problem = found.problem;
	if (s != STATUS_OK)
		return s;
	int64_t before = skip + page->size <= MERGED ? skip : found.count; /* rows that are read and not shown */
	page->orders = arena_alloc(a, (size_t)(found.count + before + page->size + 1) * sizeof *page->orders);
	page->count = 0;
	s = found.mysql == STATUS_OK ? add_found(svc, a, &found, page) : found.mysql;
	if (s == STATUS_OK) {
		first = first_row(page, skip);
		s = add_rows(svc, a, first, skip - first + page->size + 1, page); /* one shows that there is more */
	}
	page->lacks_rows = s == STATUS_UNAVAILABLE && page->may_lack_rows;
	if (page->lacks_rows) {
		first = 0;
		s = add_queued(svc, a, &found, page);
	}
	cut_page(page, skip - first);
	return s;
}
