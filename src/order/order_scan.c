#include "order/order_scan.h"

#include "base/parse.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_record.h"
#include "sale/scan.h"

enum { PAGE = 5000, HASH_PAGE = 1000 };

/* Calls Redis; the reply replaces the one before it in the arena. */
static enum status read_page(const struct order_scan *s, struct arena *page, const struct redis_command *c,
			     const struct redis_reply **reply)
{
	arena_reset(page);
	return redis_call(s->svc->redis_sync, page, c, reply) == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}

static void pass_owners(const struct order_scan *s, const struct redis_reply *fields)
{
	for (size_t i = 0; i + 1 < redis_count(fields); i += 2) {
		struct scanned_order o = { 0 };
		struct owner owner = { 0 };
		struct str number = redis_text_at(fields, i + 1);
		o.over = number.n && number.p[0] == '-';
		bool is_owner = owner_read(redis_text_at(fields, i), &owner);
		o.user = owner.user;
		o.unit = owner.unit;
		if (!is_owner ||
		    !parse_int((struct str){ number.p + o.over, number.n - o.over }, 1, NUMBER_MAX, &o.sequence))
			o.sequence = 0;
		s->on_order(s->context, &o);
	}
}

enum status order_scan_owners(const struct order_scan *s)
{
	struct arena page = { 0 };
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	struct scan_cursor cursor = { "0" };
	enum status status;
	do {
		redis_command(&c, "HSCAN");
		key_put(&c, KEY_OWNERS, s->coupon, s->segment);
		redis_put_text(&c, cursor.text);
		redis_put_text(&c, "COUNT");
		redis_put_int(&c, HASH_PAGE);
		status = read_page(s, &page, &c, &reply);
		if (status != STATUS_OK)
			break;
		pass_owners(s, redis_at(reply, 1));
	} while (scan_cursor_next(&cursor, reply));
	arena_release(&page);
	return status;
}

/* Also within a page, from the end to the head. */
static void pass_records(const struct order_scan *s, const struct redis_reply *records)
{
	for (size_t i = redis_count(records); i-- > 0;) {
		struct order_record r = { .segment = s->segment };
		order_record_read(redis_text_at(records, i), &r);
		s->on_order(s->context, &(struct scanned_order){ .sequence = r.sequence,
								 .user = r.user,
								 .claimed_ms = r.claimed_ms,
								 .unit = r.unit,
								 .ticket = r.ticket });
	}
}

enum status order_scan_list(const struct order_scan *s)
{
	struct arena page = { 0 };
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	enum status status;
	int64_t end = -1;
	do {
		redis_command(&c, "LRANGE");
		key_put(&c, KEY_ORDERS, s->coupon, s->segment);
		redis_put_int(&c, end - PAGE + 1);
		redis_put_int(&c, end);
		status = read_page(s, &page, &c, &reply);
		if (status != STATUS_OK)
			break;
		pass_records(s, reply);
		end -= PAGE;
	} while (redis_count(reply) == PAGE);
	arena_release(&page);
	return status;
}

/* 0; -1: an id is not above the one before it, which counts as a failure of the database. */
static int pass_letters(const struct order_scan *s, const struct db_rows *rows, int64_t *last_id)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		struct order_record r = { 0 };
		bool has_number = v[1].type != DB_NULL;
		if (db_int(s->svc->db, &v[0], *last_id + 1, NUMBER_MAX, last_id))
			return -1;
		order_record_read(v[2].text, &r);
		s->on_order(s->context, &(struct scanned_order){ .sequence = has_number ? v[1].number : r.sequence,
								 .user = r.user,
								 .claimed_ms = r.claimed_ms,
								 .unit = r.unit,
								 .ticket = r.ticket,
								 .over = v[3].number != DEAD_OPEN,
								 .id = *last_id,
								 .recorded = r.sequence,
								 .state = (enum dead_letter_state)v[3].number,
								 .reason = v[4].text,
								 .has_number = has_number });
	}
	return 0;
}

enum status order_scan_letters(const struct order_scan *s)
{
	struct arena page = { 0 };
	struct db_rows rows;
	int64_t id = 0;
	enum status status = STATUS_OK;
	do {
		arena_reset(&page);
		if (db_query(s->svc->db, &page,
			     "SELECT id, seq, record, state, reason FROM dead_letters "
			     "WHERE coupon_id = ? AND segment = ? AND id > ? ORDER BY id LIMIT 500",
			     &rows, DB_N(s->coupon), DB_N(s->segment), DB_N(id)) ||
		    pass_letters(s, &rows, &id)) {
			status = db_status(s->svc->db, "order_scan");
			break;
		}
	} while (rows.count);
	arena_release(&page);
	return status;
}

/* Returns as pass_letters. *first becomes the lowest sequence of the next page. */
static int pass_rows(const struct order_scan *s, const struct db_rows *rows, int64_t *first)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		int64_t sequence, status, unit;
		if (db_int(s->svc->db, &v[0], *first, NUMBER_MAX, &sequence) ||
		    db_int(s->svc->db, &v[5], 1, UINT8_MAX, &unit) ||
		    db_int(s->svc->db, &v[6], ORDER_PENDING, ORDER_CONFIRMED, &status))
			return -1;
		*first = sequence + 1;
		s->on_order(s->context, &(struct scanned_order){ .sequence = sequence,
								 .user = v[1].number,
								 .claimed_ms = v[2].number,
								 .over = v[3].number != 0,
								 .unknown_user = v[4].number != 0,
								 .unit = (int)unit,
								 .status = (enum order_status)status,
								 .not_awaited = v[7].number != 0,
								 .returned = v[8].number != 0,
								 .payments = v[9].number });
	}
	return 0;
}

/* Pages by the primary key, so that the server reads each row only once. */
enum status order_scan_rows(const struct order_scan *s, int64_t first, int64_t last)
{
	struct arena page = { 0 };
	struct db_rows rows;
	enum status status = STATUS_OK;
	do {
		arena_reset(&page);
		if (db_query(
			    s->svc->db, &page,
			    "SELECT o.seq, o.user_id, o.claimed_at_ms, o.live_user IS NULL, u.id IS NULL, o.unit, o.status, "
			    "o.status = 1 AND NOT EXISTS (SELECT 1 FROM unpaid_orders n WHERE n.coupon_id = o.coupon_id AND "
			    "n.pay_by_ms = o.pay_by_ms AND n.segment = o.segment AND n.seq = o.seq), "
			    "o.live_user IS NULL AND EXISTS (SELECT 1 FROM returned_orders r WHERE r.coupon_id = o.coupon_id "
			    "AND r.segment = o.segment AND r.seq = o.seq), "
			    "(SELECT COUNT(*) FROM payments p WHERE p.coupon_id = o.coupon_id AND p.pays_segment = o.segment "
			    "AND p.pays_seq = o.seq) FROM orders o LEFT JOIN users u ON u.id = o.user_id WHERE o.coupon_id = ? "
			    "AND o.segment = ? AND o.seq >= ? AND o.seq <= ? ORDER BY o.seq LIMIT ?",
			    &rows, DB_N(s->coupon), DB_N(s->segment), DB_N(first), DB_N(last), DB_N(PAGE)) ||
		    pass_rows(s, &rows, &first)) {
			status = db_status(s->svc->db, "order_scan");
			break;
		}
	} while (rows.count == PAGE);
	arena_release(&page);
	return status;
}
