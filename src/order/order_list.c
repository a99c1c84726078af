/*
 * A customer's orders are the rows of MySQL, and the orders that have no row yet, which are looked for first.
 */
#include <stdlib.h>

#include "order/order.h"
#include "order/rowless.h"
#include "sale/db_status.h"

enum {
	NEWEST_ROWS = 400, /* most orders that were found have one of these rows, and need no search of their own */
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
		     &confirmed, DB_N(page->user), DB_N(NEWEST_ROWS)))
		return db_status(svc->db, "orders");
	for (int i = 0; i < found->count; i++) {
		struct order o = found->orders[i];
		if (is_confirmed(&confirmed, &o))
			continue;
		enum status s = order_read_found(svc, a, &o);
		if (s == STATUS_NO_SUCH_ORDER) /* MySQL may have lost the coupon: Redis has it */
			s = order_read_queued(svc, a, &o);
		if (s == STATUS_OK)
			page->orders[page->count++] = o;
		else if (s != STATUS_NO_SUCH_ORDER)
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
	if (db_query(
		    svc->db, a,
		    "SELECT o.coupon_id, o.segment, o.seq, o.status, o.claimed_at_ms, o.confirmed_at_ms, u.name, c.name, "
		    "c.stock, c.description FROM orders o JOIN coupons c ON c.id = o.coupon_id JOIN users u ON u.id = c.seller_id "
		    "WHERE o.user_id = ? ORDER BY o.claimed_at_ms DESC, o.coupon_id DESC LIMIT ? OFFSET ?",
		    &rows, DB_N(page->user), DB_N(limit), DB_N(offset)))
		return db_status(svc->db, "orders");
	for (int i = 0; i < rows.count && i < limit; i++) {
		const struct db_value *v = db_row(&rows, i);
		int64_t segment, status;
		if (db_int(svc->db, &v[1], 0, SEGMENTS_MAX - 1, &segment) ||
		    db_int(svc->db, &v[3], ORDER_PENDING, ORDER_CONFIRMED, &status))
			return db_status(svc->db, "orders");
		const struct order row = { .coupon = v[0].number,
					   .segment = (int)segment,
					   .sequence = v[2].number,
					   .user = page->user,
					   .status = (enum order_status)status,
					   .claimed_ms = v[4].number,
					   .confirmed_ms = v[5].number,
					   .seller_name = v[6].text,
					   .coupon_name = v[7].text,
					   .stock = v[8].number,
					   .description = v[9].text };
		put_row(page, &row);
	}
	return STATUS_OK;
}

static int newer_first(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	if (x->claimed_ms != y->claimed_ms)
		return x->claimed_ms < y->claimed_ms ? 1 : -1;
	return (x->coupon < y->coupon) - (x->coupon > y->coupon);
}

/* Sorts the orders, and leaves those of the page. */
static void cut_page(struct order_page *page, int64_t skip)
{
	qsort(page->orders, (size_t)page->count, sizeof *page->orders, newer_first);
	skip = skip < page->count ? skip : page->count;
	page->orders += skip;
	page->count -= (int)skip;
	if (page->count > page->size)
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
	page->orders = arena_alloc(a, (size_t)(found.count + before + page->size) * sizeof *page->orders);
	page->count = 0;
	s = found.mysql == STATUS_OK ? add_found(svc, a, &found, page) : found.mysql;
	if (s == STATUS_OK) {
		first = first_row(page, skip);
		s = add_rows(svc, a, first, skip - first + page->size, page);
	}
	page->lacks_rows = s == STATUS_UNAVAILABLE && page->may_lack_rows;
	if (page->lacks_rows) {
		first = 0;
		s = add_queued(svc, a, &found, page);
	}
	cut_page(page, skip - first);
	return s;
}
