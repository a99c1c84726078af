/*
 * An order that MySQL does not have yet is read from where the claim put it:
 * the list of its segment, whose sequences have no gaps, so that its place is
 * its distance from the head.
 */
#include "sale/order.h"

#include <stdlib.h>

#include "base/parse.h"
#include "sale/claim.h"
#include "sale/dead.h"
#include "sale/failure.h"
#include "sale/key.h"
#include "sale/record.h"

enum {
	RECENT = 200,  /* index entries looked at for orders that are still queued */
	MERGED = 1000, /* newest orders among which they can be */
};

const char *order_status_text(enum order_status s)
{
	static const char *const texts[] = { "queued", "pending", "paid", "cancelled", "expired", "failed" };
	return texts[s];
}

bool order_parse(struct str no, struct order *o)
{
	struct str rest = no, coupon, segment, sequence;
	int64_t number;
	char text[ORDER_TEXT];
	if (!parse_split(&rest, '-', &coupon) || !parse_split(&rest, '-', &segment) ||
	    !parse_split(&rest, '-', &sequence) || rest.p || !parse_int(coupon, 1, INT64_MAX, &o->coupon) ||
	    !parse_int(segment, 0, SEGMENTS_MAX - 1, &number) || !parse_int(sequence, 1, INT32_MAX, &o->sequence))
		return false;
	o->segment = (int)number;
	return str_eq(order_text(text, o->coupon, o->segment, o->sequence), no); /* no second spelling of a number */
}

/* The coupon's side of an order. */
static enum status read_coupon(struct service *svc, struct arena *a, struct order *o)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT c.seller_id, u.name, c.name, c.stock FROM coupons c JOIN users u ON u.id = c.seller_id "
		     "WHERE c.id = ?",
		     &rows, DB_N(o->coupon)))
		return failure_of_db(svc->db, "order");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	const struct db_value *v = db_row(&rows, 0);
	o->seller = v[0].number;
	o->seller_name = v[1].text;
	o->coupon_name = v[2].text;
	o->stock = v[3].number;
	return STATUS_OK;
}

static bool read_record(struct str text, struct order *o)
{
	struct record r = { 0 };
	if (!record_read(text, &r) || r.sequence != o->sequence)
		return false;
	o->user = r.user;
	o->claimed_ms = r.claimed_ms;
	return true;
}

static enum status element(struct service *svc, struct arena *a, const struct order *o, int64_t index, struct str *text)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "LINDEX");
	key_put(&c, KEY_ORDERS, o->coupon, o->segment);
	redis_put_int(&c, index);
	if (redis_call(svc->redis_now, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	*text = redis_text(reply);
	return text->n ? STATUS_OK : STATUS_NO_SUCH_ORDER;
}

static enum status read_queued(struct service *svc, struct arena *a, struct order *o)
{
	struct str text, head;
	int64_t first;
	enum status s = element(svc, a, o, 0, &text);
	if (s != STATUS_OK)
		return s;
	parse_split(&text, '|', &head);
	if (!parse_int(head, 1, INT64_MAX, &first) || o->sequence < first)
		return STATUS_NO_SUCH_ORDER;
	s = element(svc, a, o, o->sequence - first, &text);
	if (s == STATUS_OK && !read_record(text, o)) /* trimmed between the two: MySQL has it now */
		s = STATUS_NO_SUCH_ORDER;
	o->status = ORDER_QUEUED;
	return s;
}

static enum status read_row(struct service *svc, struct arena *a, struct order *o)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT user_id, status, claimed_at_ms, confirmed_at_ms FROM orders "
		     "WHERE coupon_id = ? AND segment = ? AND seq = ?",
		     &rows, DB_N(o->coupon), DB_N(o->segment), DB_N(o->sequence)))
		return failure_of_db(svc->db, "order");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	const struct db_value *v = db_row(&rows, 0);
	int64_t status;
	if (db_int(svc->db, &v[1], ORDER_QUEUED, ORDER_FAILED, &status))
		return failure_of_db(svc->db, "order");
	o->user = v[0].number;
	o->status = (enum order_status)status;
	o->claimed_ms = v[2].number;
	o->confirmed_ms = v[3].number;
	return STATUS_OK;
}

/* An order that MySQL refused is nobody's to wait for. */
static enum status read_dead(struct service *svc, struct arena *a, struct order *o)
{
	o->status = ORDER_FAILED;
	o->confirmed_ms = 0;
	return dead_order(svc, a, o->coupon, o->segment, o->sequence, &o->user, &o->claimed_ms);
}

enum status order_read(struct service *svc, struct arena *a, struct order *o)
{
	enum status s = read_coupon(svc, a, o);
	if (s != STATUS_OK)
		return s;
	s = read_row(svc, a, o);
	if (s == STATUS_NO_SUCH_ORDER)
		s = read_queued(svc, a, o);
	if (s == STATUS_NO_SUCH_ORDER) /* it may have moved while we looked */
		s = read_row(svc, a, o);
	if (s == STATUS_NO_SUCH_ORDER)
		s = read_dead(svc, a, o);
	return s;
}

static bool is_confirmed(const struct db_rows *rows, const struct order *o)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		if (v[0].number == o->coupon && v[1].number == o->segment && v[2].number == o->sequence)
			return true;
	}
	return false;
}

/* The user's newest claims that MySQL does not have yet. Redis is read first: what moves meanwhile shows as a row. */
static enum status list_queued(struct service *svc, struct arena *a, int64_t user, struct order *orders, int *count)
{
	struct redis_command c;
	const struct redis_reply *index = NULL;
	struct db_rows confirmed;
	redis_command(&c, "ZREVRANGE");
	key_put(&c, KEY_CUSTOMER, user, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, RECENT - 1);
	redis_put_text(&c, "WITHSCORES");
	if (redis_call(svc->redis_now, a, &c, &index) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	if (db_query(svc->db, a,
		     "SELECT coupon_id, segment, seq FROM orders WHERE user_id = ? ORDER BY claimed_at_ms DESC LIMIT ?",
		     &confirmed, DB_N(user), DB_N(2 * RECENT)))
		return failure_of_db(svc->db, "orders");
	for (size_t i = 0; i + 1 < redis_count(index) && *count < RECENT; i += 2) {
		struct order o = { .user = user, .claimed_ms = redis_number_at(index, i + 1) };
		if (!order_parse(redis_text_at(index, i), &o) || is_confirmed(&confirmed, &o) ||
		    read_coupon(svc, a, &o) != STATUS_OK)
			continue;
		struct order dead = o;
		if (read_dead(svc, a, &dead) == STATUS_OK && dead.user == user)
			o.status = ORDER_FAILED;
		orders[(*count)++] = o;
	}
	return STATUS_OK;
}

/* An order that moved to MySQL between the two looks is shown once, as what it is now. */
static void put_row(struct order *orders, int *count, const struct order *row)
{
	for (int i = 0; i < *count; i++)
		if (orders[i].coupon == row->coupon && orders[i].segment == row->segment &&
		    orders[i].sequence == row->sequence) {
			orders[i] = *row;
			return;
		}
	orders[(*count)++] = *row;
}

static enum status list_rows(struct service *svc, struct arena *a, int64_t user, int64_t offset, int64_t limit,
			     struct order *orders, int *count)
{
	struct db_rows rows;
	if (db_query(
		    svc->db, a,
		    "SELECT o.coupon_id, o.segment, o.seq, o.status, o.claimed_at_ms, o.confirmed_at_ms, u.name, c.name, "
		    "c.stock FROM orders o JOIN coupons c ON c.id = o.coupon_id JOIN users u ON u.id = c.seller_id "
		    "WHERE o.user_id = ? ORDER BY o.claimed_at_ms DESC, o.coupon_id DESC LIMIT ? OFFSET ?",
		    &rows, DB_N(user), DB_N(limit), DB_N(offset)))
		return failure_of_db(svc->db, "orders");
	for (int i = 0; i < rows.count && i < limit; i++) {
		const struct db_value *v = db_row(&rows, i);
		int64_t segment, status;
		if (db_int(svc->db, &v[1], 0, SEGMENTS_MAX - 1, &segment) ||
		    db_int(svc->db, &v[3], ORDER_QUEUED, ORDER_FAILED, &status))
			return failure_of_db(svc->db, "orders");
		const struct order row = { .coupon = v[0].number,
					   .segment = (int)segment,
					   .sequence = v[2].number,
					   .user = user,
					   .status = (enum order_status)status,
					   .claimed_ms = v[4].number,
					   .confirmed_ms = v[5].number,
					   .seller_name = v[6].text,
					   .coupon_name = v[7].text,
					   .stock = v[8].number };
		put_row(orders, count, &row);
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

enum status order_list(struct service *svc, struct arena *a, int64_t user, int64_t page, int size,
		       struct order **orders, int *count)
{
	int64_t skip = (page - 1) * size;
	*count = 0;
	if (skip + size > MERGED) { /* so far back, all are in MySQL */
		*orders = arena_alloc(a, (size_t)size * sizeof **orders);
		return list_rows(svc, a, user, skip, size, *orders, count);
	}
	*orders = arena_alloc(a, (RECENT + MERGED) * sizeof **orders);
	enum status s = list_queued(svc, a, user, *orders, count);
	if (s == STATUS_OK)
		s = list_rows(svc, a, user, 0, skip + size, *orders, count);
	qsort(*orders, (size_t)*count, sizeof **orders, newer_first);
	*orders += skip < *count ? skip : *count;
	*count -= skip < *count ? (int)skip : *count;
	if (*count > size)
		*count = size;
	return s;
}
