/*
 * Orders are compared segment by segment. The owners are read first, then the
 * list, then MySQL: orders only move that way, so one that is in none of the
 * places it can still reach is lost, also while the sale goes on.
 */
#include "sale/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/parse.h"
#include "sale/failure.h"
#include "sale/key.h"
#include "sale/publish.h"

enum status audit_find(struct service *svc, struct arena *a, const char *name, int64_t **ids, int *count)
{
	struct db_rows rows;
	struct str rest = str_of(name), seller = { 0 };
	if (name)
		parse_split(&rest, '/', &seller);
	int failed = name ? db_query(svc->db, a,
				     "SELECT c.id FROM coupons c JOIN users u ON u.id = c.seller_id "
				     "WHERE u.name = ? AND c.name = ?",
				     &rows, DB_S(seller), DB_S(rest))
			  : db_query(svc->db, a, "SELECT id FROM coupons ORDER BY id", &rows);
	if (failed)
		return failure_of_db(svc->db, "audit");
	*ids = arena_alloc(a, (size_t)(rows.count + 1) * sizeof **ids);
	for (*count = 0; *count < rows.count; (*count)++)
		(*ids)[*count] = rows.values[*count].number;
	return name && !rows.count ? STATUS_NO_SUCH_COUPON : STATUS_OK;
}

/* Reading the units */

static enum status read_coupon(struct service *svc, struct arena *a, int64_t id, struct audit *out)
{
	struct db_rows rows, dead;
	if (db_query(svc->db, a,
		     "SELECT " PUBLISH_COLUMNS ", c.sold, (SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND "
		     "o.live_user IS NOT NULL) FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(id)) ||
	    db_query(svc->db, a, "SELECT COUNT(*) FROM dead_letters WHERE coupon_id = ?", &dead, DB_N(id)))
		return failure_of_db(svc->db, "audit");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	publish_row(&out->coupon, rows.values, &out->published);
	out->counted = rows.values[15].number;
	out->rows = rows.values[16].number;
	out->dead = dead.values[0].number;
	out->segments = arena_alloc(a, (size_t)out->coupon.segments * sizeof *out->segments);
	return STATUS_OK;
}

static enum status read_cursors(struct service *svc, struct arena *a, struct audit *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT segment, next_seq FROM drain_cursors WHERE coupon_id = ?", &rows,
		     DB_N(out->coupon.id)))
		return failure_of_db(svc->db, "audit");
	for (int i = 0; i < out->coupon.segments; i++)
		out->segments[i].cursor = 1;
	for (int i = 0; i < rows.count; i++)
		if (rows.values[2 * i].number < out->coupon.segments)
			out->segments[rows.values[2 * i].number].cursor = rows.values[2 * i + 1].number;
	return STATUS_OK;
}

static const struct redis_reply *ask(struct service *svc, struct arena *a, struct redis_command *c, enum status *s)
{
	const struct redis_reply *reply = NULL;
	if (*s == STATUS_OK && redis_call(svc->redis_now, a, c, &reply) != REDIS_ANSWER)
		*s = STATUS_UNAVAILABLE;
	return reply;
}

static void put_fields(struct redis_command *c, const char *const *fields, int count)
{
	for (int i = 0; i < count; i++)
		redis_put_text(c, fields[i]);
}

static enum status read_segment(struct service *svc, struct arena *a, struct audit *out, int i)
{
	static const char *const fields[] = { "left", "n", "I", "O", "gen" };
	struct audit_segment *seg = &out->segments[i];
	struct redis_command c;
	enum status s = STATUS_OK;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, out->coupon.id, i);
	put_fields(&c, fields, 5);
	const struct redis_reply *reply = ask(svc, a, &c, &s);
	seg->left = redis_number_at(reply, 0);
	seg->sold = redis_number_at(reply, 1);
	seg->received = redis_number_at(reply, 2);
	seg->sent = redis_number_at(reply, 3);
	if (s == STATUS_OK && redis_number_at(reply, 4) != out->coupon.generation)
		buf_printf(&out->problems, "segment %d has generation %lld in Redis, %lld in MySQL\n", i,
			   (long long)redis_number_at(reply, 4), (long long)out->coupon.generation);
	redis_command(&c, "LLEN");
	key_put(&c, KEY_ORDERS, out->coupon.id, i);
	seg->queued = redis_number(ask(svc, a, &c, &s));
	return s;
}

static enum status read_hub(struct service *svc, struct arena *a, struct audit *out)
{
	struct redis_command c;
	enum status s = STATUS_OK;
	redis_command(&c, "HGETALL");
	key_put(&c, KEY_HUB, out->coupon.id, 0);
	const struct redis_reply *hub = ask(svc, a, &c, &s);
	if (s != STATUS_OK)
		return s;
	if (redis_number(redis_member(hub, "gen")) != out->coupon.generation)
		buf_printf(&out->problems, "the hub has generation %lld in Redis, %lld in MySQL\n",
			   (long long)redis_number(redis_member(hub, "gen")), (long long)out->coupon.generation);
	out->amount = redis_number(redis_member(hub, "amount"));
	out->cancelled = redis_number(redis_member(hub, "cancelled"));
	out->hub = redis_number(redis_member(hub, "avail"));
	out->sold_out = redis_number(redis_member(hub, "sold_out")) != 0;
	for (int i = 0; i < out->coupon.segments; i++) {
		char name[16];
		snprintf(name, sizeof name, "G%d", i);
		out->segments[i].granted = redis_number(redis_member(hub, name));
		name[0] = 'R';
		out->segments[i].taken = redis_number(redis_member(hub, name));
	}
	return s;
}

enum status audit_read(struct service *svc, struct arena *a, int64_t coupon, struct audit *out)
{
	*out = (struct audit){ 0 };
	buf_init(&out->problems, a);
	enum status s = read_coupon(svc, a, coupon, out);
	if (s == STATUS_OK)
		s = read_cursors(svc, a, out);
	if (s != STATUS_OK || !out->published) /* its creation was cut short: nothing of it can have been sold */
		return s;
	s = read_hub(svc, a, out);
	for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++) {
		struct audit_segment *seg = &out->segments[i];
		s = read_segment(svc, a, out, i);
		out->in_flight += seg->granted - seg->received + seg->sent - seg->taken;
		out->left += seg->left;
		out->sold += seg->sold;
		out->queued += seg->queued;
	}
	return s;
}

/* Comparing */

static void expect(struct audit *out, bool holds, const char *what, int64_t is, int64_t should)
{
	if (!holds)
		buf_printf(&out->problems, "%s: %lld, expected %lld\n", what, (long long)is, (long long)should);
}

static void compare_units(struct audit *out)
{
	int64_t total = out->hub + out->in_flight + out->left + out->sold;
	int64_t supplied = out->amount + out->cancelled;
	expect(out, supplied == total, "hub + in flight + left + sold", total, supplied);
	expect(out, out->coupon.amount == out->amount, "units in Redis", out->amount, out->coupon.amount);
	expect(out, out->counted == out->rows, "coupons.sold in MySQL", out->counted, out->rows);
	expect(out, out->counted <= out->coupon.amount, "sold in MySQL, at most", out->counted, out->coupon.amount);
	expect(out, out->dead == 0, "dead letters", out->dead, 0);
	for (int i = 0; i < out->coupon.segments; i++) {
		struct audit_segment *s = &out->segments[i];
		char what[64];
		snprintf(what, sizeof what, "segment %d: left", i);
		expect(out, s->left == s->received - s->sent - s->sold, what, s->left, s->received - s->sent - s->sold);
		snprintf(what, sizeof what, "segment %d: received, at most granted", i);
		expect(out, s->received <= s->granted, what, s->received, s->granted);
		snprintf(what, sizeof what, "segment %d: taken back, at most sent", i);
		expect(out, s->taken <= s->sent, what, s->taken, s->sent);
	}
}

/* By sequence (from 1): the user who owns it, and where it was seen. */
struct seen {
	int64_t owner, queued, row;
};

static enum status see_owners(struct service *svc, struct arena *a, struct audit *out, int i, struct seen *seen,
			      int64_t sold)
{
	struct str cursor = STR("0");
	enum status s = STATUS_OK;
	do {
		struct redis_command c;
		redis_command(&c, "HSCAN");
		key_put(&c, KEY_OWNERS, out->coupon.id, i);
		redis_put(&c, cursor);
		redis_put_text(&c, "COUNT");
		redis_put_int(&c, 1000);
		const struct redis_reply *reply = ask(svc, a, &c, &s), *page = redis_at(reply, 1);
		for (size_t k = 0; k + 1 < redis_count(page); k += 2) {
			int64_t user = redis_number_at(page, k), sequence = redis_number_at(page, k + 1);
			if (sequence < 1 || sequence > sold)
				continue;
			if (seen[sequence].owner && seen[sequence].owner != user)
				buf_printf(&out->problems, "order %lld-%d-%lld has two owners\n",
					   (long long)out->coupon.id, i, (long long)sequence);
			seen[sequence].owner = user;
		}
		cursor = redis_text_at(reply, 0);
	} while (s == STATUS_OK && !str_eq(cursor, STR("0")));
	return s;
}

static enum status see_queue(struct service *svc, struct arena *a, struct audit *out, int i, struct seen *seen,
			     int64_t sold)
{
	struct redis_command c;
	enum status s = STATUS_OK;
	redis_command(&c, "LRANGE");
	key_put(&c, KEY_ORDERS, out->coupon.id, i);
	redis_put_int(&c, 0);
	redis_put_int(&c, -1);
	const struct redis_reply *list = ask(svc, a, &c, &s);
	for (size_t k = 0; k < redis_count(list); k++) {
		struct str rest = redis_text_at(list, k), piece, user;
		int64_t sequence, owner;
		if (!parse_split(&rest, '|', &piece) || !parse_int(piece, 1, INT32_MAX, &sequence) ||
		    !parse_split(&rest, '|', &user) || !parse_int(user, 1, INT64_MAX, &owner))
			buf_printf(&out->problems, "segment %d: the list holds something that is no order\n", i);
		else if (sequence <= sold)
			seen[sequence].queued = owner;
	}
	return s;
}

/* *last: the highest sequence among the rows. Beyond `sold` are rows that were sold while we looked, or never. */
static enum status see_rows(struct service *svc, struct arena *a, struct audit *out, int i, struct seen *seen,
			    int64_t sold, int64_t *last)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT o.seq, o.user_id, u.id IS NULL FROM orders o LEFT JOIN users u ON u.id = o.user_id "
		     "WHERE o.coupon_id = ? AND o.segment = ?",
		     &rows, DB_N(out->coupon.id), DB_N(i)))
		return failure_of_db(svc->db, "audit");
	for (int k = 0; k < rows.count; k++) {
		const struct db_value *v = rows.values + (ptrdiff_t)k * 3;
		if (v[0].number <= sold)
			seen[v[0].number].row = v[1].number;
		if (v[0].number > *last)
			*last = v[0].number;
		if (v[2].number)
			buf_printf(&out->problems, "order %lld-%d-%lld is of an unknown user\n",
				   (long long)out->coupon.id, i, (long long)v[0].number);
	}
	return STATUS_OK;
}

static void judge(struct audit *out, int i, int64_t sequence, const struct seen *s)
{
	const char *problem = NULL;
	if (!s->owner)
		problem = "has no owner in Redis";
	else if (!s->queued && !s->row)
		problem = "is lost: neither on the list nor in MySQL";
	else if ((s->queued && s->queued != s->owner) || (s->row && s->row != s->owner))
		problem = "belongs to different users in Redis and MySQL";
	else if (!s->row && sequence < out->segments[i].cursor)
		problem = "is below the cursor, but not in MySQL";
	if (problem)
		buf_printf(&out->problems, "order %lld-%d-%lld %s\n", (long long)out->coupon.id, i, (long long)sequence,
			   problem);
}

/* Rows and cursor commit together, so a cursor that is read after the rows is beyond them: else the drain stands still.
 */
static enum status check_cursor(struct service *svc, struct arena *a, struct audit *out, int i, int64_t last)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT next_seq FROM drain_cursors WHERE coupon_id = ? AND segment = ?", &rows,
		     DB_N(out->coupon.id), DB_N(i)))
		return failure_of_db(svc->db, "audit");
	int64_t next = rows.count ? rows.values[0].number : 1;
	if (next <= last)
		buf_printf(&out->problems, "segment %d: the cursor is %lld, but order %lld is in MySQL\n", i,
			   (long long)next, (long long)last);
	return STATUS_OK;
}

static enum status check_sold(struct service *svc, struct arena *a, struct audit *out, int i, int64_t highest)
{
	struct redis_command c;
	enum status s = STATUS_OK;
	redis_command(&c, "HGET");
	key_put(&c, KEY_SEGMENT, out->coupon.id, i);
	redis_put_text(&c, "n");
	int64_t sold = redis_number(ask(svc, a, &c, &s));
	if (s == STATUS_OK && highest > sold)
		buf_printf(&out->problems, "order %lld-%d-%lld is in MySQL, but Redis has sold only %lld\n",
			   (long long)out->coupon.id, i, (long long)highest, (long long)sold);
	return s;
}

static enum status compare_orders(struct service *svc, struct audit *out, int i)
{
	struct arena a = { 0 };
	int64_t sold = out->segments[i].sold, last = 0;
	struct seen *seen = calloc((size_t)sold + 1, sizeof *seen);
	if (!seen)
		abort();
	enum status s = see_owners(svc, &a, out, i, seen, sold);
	if (s == STATUS_OK)
		s = see_queue(svc, &a, out, i, seen, sold);
	if (s == STATUS_OK)
		s = see_rows(svc, &a, out, i, seen, sold, &last);
	if (s == STATUS_OK)
		s = check_cursor(svc, &a, out, i, last);
	if (s == STATUS_OK && last > sold)
		s = check_sold(svc, &a, out, i, last);
	for (int64_t k = 1; s == STATUS_OK && k <= sold; k++)
		judge(out, i, k, &seen[k]);
	free(seen);
	arena_release(&a);
	return s;
}

/* Units that move while they are read seem not to add up; what is really missing is missing every time. */
static enum status read_balanced(struct service *svc, struct arena *a, int64_t coupon, struct audit *out)
{
	enum { TRIES = 10, PAUSE_US = 20000 };
	enum status s = STATUS_OK;
	for (int i = 0; i < TRIES; i++) {
		s = audit_read(svc, a, coupon, out);
		if (s != STATUS_OK || !out->published)
			return s;
		compare_units(out);
		if (!out->problems.n)
			return s;
		usleep(PAUSE_US);
	}
	return s;
}

enum status audit_run(struct service *svc, struct arena *a, int64_t coupon, struct audit *out)
{
	enum status s = read_balanced(svc, a, coupon, out);
	if (s != STATUS_OK || !out->published)
		return s;
	for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++)
		s = compare_orders(svc, out, i);
	return s;
}
