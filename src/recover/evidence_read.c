#include <stdio.h>

#include "base/parse.h"
#include "order/dead_letter.h"
#include "recover/evidence.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/numbers.h"
#include "sale/order_number.h"
#include "sale/order_record.h"
#include "stock/claim.h"

enum { PAGE = 1000 };

/* MySQL */

/* What the cursor has passed of the present range is not stored elsewhere. */
static enum status read_ranges(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a)
{
	struct ranges r;
	enum status status = ranges_read(svc, a, c->id, s->segment, &r);
	for (int i = 0; status == STATUS_OK && i < r.count; i++)
		evidence_see_range(s, (struct evidence_range){ .base = r.at[i].base,
							       .count = r.at[i].count,
							       .stored = i + 1 < r.count ? r.at[i].count : 0 });
	return status;
}

/*
 * In pages by primary key, so that a million orders need no room for their result. Of orders that are over, only the
 * number counts.
 */
static int read_rows(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a, int64_t *after)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT seq, user_id, claimed_at_ms, live_user IS NOT NULL AND unit = 1 FROM orders "
		     "WHERE coupon_id = ? AND segment = ? AND seq > ? ORDER BY seq LIMIT 1000",
		     &rows, DB_N(c->id), DB_N(s->segment), DB_N(*after)))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		int64_t sequence;
		if (db_int(svc->db, &v[0], *after + 1, NUMBER_MAX, &sequence))
			return -1;
		evidence_add_known(s, (struct evidence_number){ sequence, v[1].number, 0, HAS_ROW, false });
		if (v[3].number)
			evidence_add(s, (struct evidence_claim){ .user = v[1].number,
								 .sequence = sequence,
								 .claimed_ms = v[2].number,
								 .source = IN_MYSQL });
		*after = sequence;
	}
	return rows.count;
}

struct letter {
	int64_t id, number; /* number 0: it has none, or not any more */
	int64_t state;
	struct str reason;
	struct order_record record; /* user 0: it cannot be read, or is nobody's */
};

static struct evidence_number known_of(const struct letter *l)
{
	bool is_named_lost = str_eq(l->reason, STR(REASON_LOST));
	struct evidence_number k = { l->number ? l->number : l->record.sequence, l->record.user, l->id, HAS_LETTER,
				     false };
	if (l->state == DEAD_RETRIED)
		k.standing = IS_FREE;
	else if (is_named_lost || str_eq(l->reason, STR(REASON_LOST_FOUND)))
		k.standing = IS_LOST;
	else if (!l->number || l->state == DEAD_RESOLD)
		k.standing = IS_FREE;
	if (k.standing == IS_FREE && l->state != DEAD_OPEN)
		k.letter = 0;
	k.is_held = is_named_lost && l->number && l->state != DEAD_RESOLD;
	return k;
}

static void add_letter(struct evidence *s, const struct letter *l)
{
	struct evidence_number k = known_of(l);
	if (!k.number)
		return;
	evidence_add_known(s, k);
	if (k.standing == HAS_LETTER && k.user && l->record.sequence == k.number)
		evidence_add(s, (struct evidence_claim){ .user = k.user,
							 .sequence = k.number,
							 .claimed_ms = l->record.claimed_ms,
							 .source = DEAD_LETTER });
}

/* In pages by their key, as rows. */
static int read_letters(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a,
			struct str *after)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT id, seq, state, reason, record, digest FROM dead_letters "
		     "WHERE coupon_id = ? AND segment = ? AND digest > ? ORDER BY digest LIMIT 1000",
		     &rows, DB_N(c->id), DB_N(s->segment), DB_S(*after)))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		struct letter l = { .id = v[0].number, .state = v[2].number, .reason = v[3].text };
		if (v[1].type != DB_NULL && db_int(svc->db, &v[1], 1, NUMBER_MAX, &l.number))
			return -1;
		order_record_read(v[4].text, &l.record);
		add_letter(s, &l);
		*after = v[5].text;
	}
	return rows.count;
}

static int read_orders(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a)
{
	int64_t after = 0;
	int found;
	do {
		arena_reset(a);
		found = read_rows(svc, c, s, a, &after);
	} while (found == PAGE);
	return found < 0 ? -1 : 0;
}

static int read_dead(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a)
{
	char last[32];
	struct str after = STR("");
	int found;
	do {
		if (after.n > sizeof last)
			after.n = sizeof last;
		memcpy(last, after.p, after.n);
		after.p = last;
		arena_reset(a);
		found = read_letters(svc, c, s, a, &after);
	} while (found == PAGE);
	return found < 0 ? -1 : 0;
}

/* The ranges first: by them it is known which range another number is of. */
enum status evidence_read_mysql(struct service *svc, const struct coupon *c, struct evidence *s)
{
	struct arena a = { 0 };
	enum status status = read_ranges(svc, c, s, &a);
	if (status == STATUS_OK && (read_orders(svc, c, s, &a) || read_dead(svc, c, s, &a)))
		status = db_status(svc->db, "recover");
	evidence_sort_known(s);
	arena_release(&a);
	return status;
}

/* Redis */

static enum status read_slot(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a)
{
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	redis_command(&cmd, "HMGET");
	key_put(&cmd, KEY_SEGMENT, c->id, s->segment);
	redis_put_text(&cmd, "base");
	redis_put_text(&cmd, "last");
	redis_put_text(&cmd, "term");
	enum redis_outcome end = redis_call(svc->redis_sync, a, &cmd, &reply);
	if (end != REDIS_ANSWER && end != REDIS_BROKEN)
		return STATUS_UNAVAILABLE;
	int64_t base = 0, last = 0;
	redis_number_in(redis_at(reply, 0), 0, NUMBER_MAX, &base);
	redis_number_in(redis_at(reply, 1), 0, NUMBER_MAX, &last);
	redis_number_in(redis_at(reply, 2), 0, NUMBER_MAX, &s->term);
	evidence_see_range(s, (struct evidence_range){ base, 0, 0 });
	if (last != base) /* else none was given out since */
		evidence_see(s, last);
	return STATUS_OK;
}

/* One that is named lost on the list is missed like any other number. */
static void add_record(struct evidence *s, struct str raw)
{
	struct order_record r = { 0 };
	if (order_record_read(raw, &r) && r.user)
		evidence_add(s, (struct evidence_claim){ .user = r.user,
							 .sequence = r.sequence,
							 .claimed_ms = r.claimed_ms,
							 .source = ON_LIST });
	else
		evidence_see(s, r.sequence);
}

/* What is on the list and no order is left to the audit, which names it; its number is missed, and held. */
static enum status read_list(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a)
{
	const struct redis_reply *page = NULL;
	struct redis_command cmd;
	for (int64_t from = 0; !page || redis_count(page) == PAGE; from += PAGE) {
		arena_reset(a);
		redis_command(&cmd, "LRANGE");
		key_put(&cmd, KEY_ORDERS, c->id, s->segment);
		redis_put_int(&cmd, from);
		redis_put_int(&cmd, from + PAGE - 1);
		if (redis_call(svc->redis_sync, a, &cmd, &page) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		for (size_t i = 0; i < redis_count(page); i++)
			add_record(s, redis_text_at(page, i));
	}
	return STATUS_OK;
}

static enum status read_owners(struct service *svc, const struct coupon *c, struct evidence *s, struct arena *a)
{
	char cursor[24] = "0";
	do {
		struct redis_command cmd;
		const struct redis_reply *reply = NULL, *page;
		arena_reset(a);
		redis_command(&cmd, "HSCAN");
		key_put(&cmd, KEY_OWNERS, c->id, s->segment);
		redis_put_text(&cmd, cursor);
		redis_put_text(&cmd, "COUNT");
		redis_put_int(&cmd, PAGE);
		if (redis_call(svc->redis_sync, a, &cmd, &reply) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		page = redis_at(reply, 1);
		for (size_t i = 0; i + 1 < redis_count(page); i += 2) {
			int64_t user = redis_number_at(page, i), sequence = redis_number_at(page, i + 1);
			if (user > 0 && sequence > 0 && sequence <= NUMBER_MAX)
				evidence_add(s, (struct evidence_claim){ .user = user,
									 .sequence = sequence,
									 .source = AMONG_OWNERS,
									 .owner_sequence = sequence });
		}
		struct str next = redis_text_at(reply, 0);
		snprintf(cursor, sizeof cursor, "%.*s", (int)next.n, next.p);
	} while (strcmp(cursor, "0") != 0);
	return STATUS_OK;
}

enum status evidence_read_redis(struct service *svc, const struct coupon *c, struct evidence *s)
{
	struct arena a = { 0 };
	enum status status = read_slot(svc, c, s, &a);
	if (status == STATUS_OK)
		status = read_list(svc, c, s, &a);
	if (status == STATUS_OK)
		status = read_owners(svc, c, s, &a);
	arena_release(&a);
	return status;
}

/* The customers' lists: "coupon-segment-sequence", scored with the moment of the claim */

struct customer {
	const struct coupon *coupon;
	struct evidence *all;
	int64_t user;
	bool *failed;
};

static bool is_of(const struct coupon *c, struct str order, int64_t *segment, int64_t *sequence)
{
	struct str rest = order, piece;
	int64_t coupon;
	return parse_split(&rest, '-', &piece) && parse_int(piece, 1, NUMBER_MAX, &coupon) && coupon == c->id &&
	       parse_split(&rest, '-', &piece) && parse_int(piece, 0, c->segments - 1, segment) &&
	       parse_int(rest, 1, NUMBER_MAX, sequence);
}

static void on_orders(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct customer *customer = context;
	int64_t segment, sequence;
	*customer->failed |= end == REDIS_REFUSED || end == REDIS_UNKNOWN; /* one that is no list names nothing */
	for (size_t i = 0; i + 1 < redis_count(reply); i += 2)
		if (is_of(customer->coupon, redis_text_at(reply, i), &segment, &sequence))
			evidence_add(&customer->all[segment],
				     (struct evidence_claim){ .user = customer->user,
							      .sequence = sequence,
							      .claimed_ms = redis_number_at(reply, i + 1),
							      .source = IN_INDEX });
}

/* "sk:u:{123}" */
static int64_t user_of_key(struct str key)
{
	struct str rest = key, piece;
	int64_t user = 0;
	if (parse_split(&rest, '{', &piece) && parse_split(&rest, '}', &piece))
		parse_int(piece, 1, NUMBER_MAX, &user);
	return user;
}

static void ask_customer(struct service *svc, const struct coupon *c, struct evidence *all, struct arena *a,
			 struct str key, bool *failed)
{
	struct redis_command cmd;
	struct customer *customer = arena_alloc(a, sizeof *customer);
	*customer = (struct customer){ c, all, user_of_key(key), failed };
	if (!customer->user)
		return;
	redis_command(&cmd, "ZRANGE");
	key_put(&cmd, KEY_CUSTOMER, customer->user, 0);
	redis_put_int(&cmd, 0);
	redis_put_int(&cmd, -1);
	redis_put_text(&cmd, "WITHSCORES");
	redis_send(svc->redis_sync, &cmd, on_orders, customer);
}

static enum status scan_server(struct service *svc, const struct coupon *c, struct evidence *all, int server,
			       struct arena *a)
{
	char cursor[24] = "0";
	bool failed = false;
	do {
		struct redis_command cmd;
		const struct redis_reply *reply = NULL, *page;
		arena_reset(a);
		redis_command(&cmd, "SCAN");
		cmd.server = server;
		redis_put_text(&cmd, cursor);
		redis_put_text(&cmd, "MATCH");
		redis_put_text(&cmd, "sk:u:*");
		redis_put_text(&cmd, "COUNT");
		redis_put_int(&cmd, PAGE);
		if (redis_call(svc->redis_sync, a, &cmd, &reply) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		page = redis_at(reply, 1);
		for (size_t i = 0; i < redis_count(page); i++)
			ask_customer(svc, c, all, a, redis_text_at(page, i), &failed);
		redis_wait_all(svc->redis_sync);
		if (failed)
			return STATUS_UNAVAILABLE;
		struct str next = redis_text_at(reply, 0);
		snprintf(cursor, sizeof cursor, "%.*s", (int)next.n, next.p);
	} while (strcmp(cursor, "0") != 0);
	return STATUS_OK;
}

enum status evidence_read_index(struct service *svc, const struct coupon *c, struct evidence *all)
{
	struct arena a = { 0 };
	enum status status = STATUS_OK;
	for (int i = 0; status == STATUS_OK && i < redis_servers(svc->redis_sync); i++)
		status = scan_server(svc, c, all, i, &a);
	arena_release(&a);
	return status;
}

enum { AWAY = -1 }; /* in place of a moment */

static void on_time(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct evidence_claim *claim = context;
	if (end == REDIS_ANSWER)
		claim->claimed_ms = redis_number(reply);
	else if (end != REDIS_BROKEN)
		claim->claimed_ms = AWAY;
}

enum status evidence_read_times(struct service *svc, const struct coupon *c, struct evidence *s)
{
	char order[ORDER_NUMBER_TEXT];
	for (int i = 0; i < s->count; i++) {
		struct evidence_claim *claim = &s->claims[i];
		struct redis_command cmd;
		if (claim->claimed_ms || !claim->owner_sequence)
			continue;
		redis_command(&cmd, "ZSCORE");
		key_put(&cmd, KEY_CUSTOMER, claim->user, 0);
		redis_put(&cmd, order_number_text(order, c->id, s->segment, claim->owner_sequence));
		redis_send(svc->redis_sync, &cmd, on_time, claim);
		if (i % PAGE == PAGE - 1)
			redis_wait_all(svc->redis_sync);
	}
	redis_wait_all(svc->redis_sync);
	for (int i = 0; i < s->count; i++)
		if (s->claims[i].claimed_ms == AWAY)
			return STATUS_UNAVAILABLE;
	return STATUS_OK;
}
