#include "audit/scan.h"

#include "base/parse.h"
#include "order/dead_letter.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_record.h"

enum { PAGE = 5000, HASH_PAGE = 1000 };

/* One answer of Redis, in an arena that holds only this one. */
static enum status ask(const struct scan *s, struct arena *page, const struct redis_command *c,
		       const struct redis_reply **reply)
{
	arena_reset(page);
	return redis_call(s->svc->redis_sync, page, c, reply) == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}

static void see_owners(const struct scan *s, const struct redis_reply *fields)
{
	for (size_t i = 0; i + 1 < redis_count(fields); i += 2) {
		struct sighting one = { 0 };
		if (!parse_int(redis_text_at(fields, i), 1, NUMBER_MAX, &one.user) ||
		    !parse_int(redis_text_at(fields, i + 1), 1, NUMBER_MAX, &one.sequence))
			one.sequence = 0;
		s->see(s->context, &one);
	}
}

enum status scan_owners(const struct scan *s)
{
	struct arena page = { 0 };
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	int64_t cursor = 0;
	enum status status;
	do {
		redis_command(&c, "HSCAN");
		key_put(&c, KEY_OWNERS, s->coupon, s->segment);
		redis_put_text(&c, arena_printf(&page, "%llu", (unsigned long long)cursor));
		redis_put_text(&c, "COUNT");
		redis_put_int(&c, HASH_PAGE);
		status = ask(s, &page, &c, &reply);
		if (status != STATUS_OK)
			break;
		see_owners(s, redis_at(reply, 1));
		cursor = redis_number_at(reply, 0);
	} while (cursor);
	arena_release(&page);
	return status;
}

/* A page's elements, too, from its end to its head. */
static void see_records(const struct scan *s, const struct redis_reply *records)
{
	for (size_t i = redis_count(records); i-- > 0;) {
		struct order_record r = { .segment = s->segment };
		order_record_read(redis_text_at(records, i), &r);
		s->see(s->context,
		       &(struct sighting){ .sequence = r.sequence, .user = r.user, .claimed_ms = r.claimed_ms });
	}
}

enum status scan_list(const struct scan *s)
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
		status = ask(s, &page, &c, &reply);
		if (status != STATUS_OK)
			break;
		see_records(s, reply);
		end -= PAGE;
	} while (redis_count(reply) == PAGE);
	arena_release(&page);
	return status;
}

/* A letter that has no number of its own is of an order for which there was no unit. */
static enum letter_unit unit_of(const struct db_value *number, struct str reason, int64_t state)
{
	if (number->type == DB_NULL || state == DEAD_RESOLD || str_eq(reason, STR(REASON_LOST_FOUND)))
		return LETTER_FREE;
	bool is_lost = str_eq(reason, STR(REASON_LOST));
	return is_lost && state != DEAD_RETRIED ? LETTER_HOLDS : LETTER_OF_ORDER;
}

enum status scan_dead(const struct scan *s)
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
			     &rows, DB_N(s->coupon), DB_N(s->segment), DB_N(id))) {
			status = db_status(s->svc->db, "audit");
			break;
		}
		for (int i = 0; i < rows.count; i++) {
			const struct db_value *v = db_row(&rows, i);
			struct order_record r = { 0 };
			order_record_read(v[2].text, &r);
			id = v[0].number;
			s->see(s->context,
			       &(struct sighting){ .id = id,
						   .sequence = v[1].type == DB_NULL ? r.sequence : v[1].number,
						   .user = r.user,
						   .claimed_ms = r.claimed_ms,
						   .unit = unit_of(&v[1], v[4].text, v[3].number),
						   .over = v[3].number != DEAD_OPEN });
		}
	} while (rows.count);
	arena_release(&page);
	return status;
}

static void see_rows(const struct scan *s, const struct db_rows *rows)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		s->see(s->context, &(struct sighting){ .sequence = v[0].number,
						       .user = v[1].number,
						       .claimed_ms = v[2].number,
						       .over = v[3].number != 0,
						       .unknown_user = v[4].number != 0 });
	}
}

/* By the primary key: the server, too, reads each row once. */
enum status scan_rows(const struct scan *s, int64_t first, int64_t last)
{
	struct arena page = { 0 };
	struct db_rows rows;
	enum status status = STATUS_OK;
	do {
		arena_reset(&page);
		if (db_query(
			    s->svc->db, &page,
			    "SELECT o.seq, o.user_id, o.claimed_at_ms, o.live_user IS NULL, u.id IS NULL FROM orders o "
			    "LEFT JOIN users u ON u.id = o.user_id WHERE o.coupon_id = ? AND o.segment = ? "
			    "AND o.seq >= ? AND o.seq <= ? ORDER BY o.seq LIMIT ?",
			    &rows, DB_N(s->coupon), DB_N(s->segment), DB_N(first), DB_N(last), DB_N(PAGE))) {
			status = db_status(s->svc->db, "audit");
			break;
		}
		see_rows(s, &rows);
		if (rows.count)
			first = db_row(&rows, rows.count - 1)->number + 1;
	} while (rows.count == PAGE);
	arena_release(&page);
	return status;
}
