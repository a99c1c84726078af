/*
 * A customer's orders are the rows of MySQL, and the entries of the customer's own list that have no row yet. The
 * customer's list may be on another server than the orders, and may have lost entries: they are entered again from the
 * rows.
 */
#include <stdlib.h>

#include "order/order.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "stock/claim.h"

enum {
	RECENT = 200,  /* of the list, only the newest entries are searched for orders that have no row yet */
	MERGED = 1000, /* orders without a row can only be among so many newest orders */
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

/* Reads the newest entries of the customer's own list: order numbers, each followed by its claimed_ms. */
static enum status read_index(struct service *svc, struct arena *a, int64_t user, const struct redis_reply **index)
{
	struct redis_command c;
	redis_command(&c, "ZREVRANGE");
	key_put(&c, KEY_CUSTOMER, user, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, RECENT - 1);
	redis_put_text(&c, "WITHSCORES");
	return redis_call(svc->redis_sync, a, &c, index) == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}

static bool is_indexed(const struct redis_reply *index, struct str order)
{
	for (size_t i = 0; i < redis_count(index); i += 2)
		if (str_eq(redis_text_at(index, i), order))
			return true;
	return false;
}

/* Enters orders that the list lacks, because a customer's coupons are read from this list alone. */
static void mend_index(struct service *svc, int64_t user, const struct redis_reply *index, const struct order *orders,
		       int count)
{
	static const bool live[] = {
		[ORDER_PENDING] = true, [ORDER_PAID] = true, [ORDER_CONFIRMED] = true, [ORDER_LOST] = false
	};
	struct redis_command c;
	redis_command(&c, "ZADD");
	key_put(&c, KEY_CUSTOMER, user, 0);
	for (const struct order *o = orders; o < orders + count; o++) {
		char text[ORDER_NUMBER_TEXT];
		struct str no = order_number_text(text, o->coupon, o->segment, o->sequence);
		if (live[o->status] && !is_indexed(index, no)) {
			redis_put_int(&c, o->claimed_ms);
			redis_put(&c, no);
		}
	}
	if (c.argc > 2)
		redis_send(svc->redis_sync, &c, NULL, NULL);
	redis_wait_all(svc->redis_sync);
}

/* Redis was read before MySQL, so an order that a drainer moved in between is in `confirmed`. */
static enum status list_queued(struct service *svc, struct arena *a, const struct redis_reply *index,
			       struct order_page *page)
{
	struct db_rows confirmed;
	if (db_query(svc->db, a,
		     "SELECT coupon_id, segment, seq FROM orders WHERE user_id = ? ORDER BY claimed_at_ms DESC LIMIT ?",
		     &confirmed, DB_N(page->user), DB_N(2 * RECENT)))
		return db_status(svc->db, "orders");
	for (size_t i = 0; i + 1 < redis_count(index) && page->count < RECENT; i += 2) {
		struct order o = { .user = page->user, .claimed_ms = redis_number_at(index, i + 1) };
		if (order_parse(redis_text_at(index, i), &o) && !is_confirmed(&confirmed, &o) &&
		    order_read_listed(svc, a, &o))
			page->orders[page->count++] = o;
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

static enum status list_rows(struct service *svc, struct arena *a, int64_t offset, int64_t limit,
			     struct order_page *page)
{
	struct db_rows rows;
	if (db_query(
		    svc->db, a,
		    "SELECT o.coupon_id, o.segment, o.seq, o.status, o.claimed_at_ms, o.confirmed_at_ms, u.name, c.name, "
		    "c.stock FROM orders o JOIN coupons c ON c.id = o.coupon_id JOIN users u ON u.id = c.seller_id "
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
					   .stock = v[8].number };
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

enum status order_list(struct service *svc, struct arena *a, struct order_page *page)
{
	int64_t skip = (page->number - 1) * page->size;
	const struct redis_reply *index = NULL;
	page->count = 0;
	if (skip + page->size > MERGED) { /* orders so old are all in MySQL */
		page->orders = arena_alloc(a, (size_t)page->size * sizeof *page->orders);
		return list_rows(svc, a, skip, page->size, page);
	}
	page->orders = arena_alloc(a, (RECENT + MERGED) * sizeof *page->orders);
	enum status s = read_index(svc, a, page->user, &index);
	if (s == STATUS_OK)
		s = list_queued(svc, a, index, page);
	if (s == STATUS_OK)
		s = list_rows(svc, a, 0, skip + page->size, page);
	qsort(page->orders, (size_t)page->count, sizeof *page->orders, newer_first);
	skip = skip < page->count ? skip : page->count;
	page->orders += skip;
	page->count -= (int)skip;
	if (page->count > page->size)
		page->count = page->size;
	if (s == STATUS_OK && page->number == 1)
		mend_index(svc, page->user, index, page->orders, page->count);
	return s;
}
