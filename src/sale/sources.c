#include "sale/sources.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "sale/claim.h"
#include "sale/failure.h"
#include "sale/key.h"
#include "sale/record.h"

enum { PAGE = 1000 };

void sources_init(struct sources *s, int segment)
{
	*s = (struct sources){ .segment = segment, .cursor = 1 };
}

void sources_free(struct sources *s)
{
	free(s->claims);
	free(s->taken);
}

static void add(struct sources *s, struct source_claim claim)
{
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		s->claims = realloc(s->claims, (size_t)s->capacity * sizeof *s->claims);
		if (!s->claims)
			abort();
	}
	s->claims[s->count++] = claim;
	if (claim.sequence > s->last)
		s->last = claim.sequence;
}

bool sources_is_taken(const struct sources *s, int64_t sequence)
{
	return sequence <= s->limit && (s->taken[sequence / 8] >> (sequence % 8) & 1);
}

void sources_take(struct sources *s, int64_t sequence)
{
	if (sequence > s->limit || !s->taken) {
		int64_t limit = (sequence + 4096) * 2;
		s->taken = realloc(s->taken, (size_t)limit / 8 + 1);
		if (!s->taken)
			abort();
		size_t before = s->limit ? (size_t)s->limit / 8 + 1 : 0;
		memset(s->taken + before, 0, (size_t)limit / 8 + 1 - before);
		s->limit = limit;
	}
	s->taken[sequence / 8] |= (uint8_t)(1u << (sequence % 8));
	if (sequence > s->last)
		s->last = sequence;
}

/* MySQL */

/* In pages by primary key, so that a million orders need no room for their result. */
static int read_rows(struct service *svc, const struct coupon *c, struct sources *s, struct arena *a, int64_t *after)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT seq, user_id, claimed_at_ms FROM orders WHERE coupon_id = ? AND segment = ? AND seq > ? "
		     "ORDER BY seq LIMIT 1000",
		     &rows, DB_N(c->id), DB_N(s->segment), DB_N(*after)))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		int64_t sequence;
		if (db_int(svc->db, &v[0], *after + 1, INT32_MAX, &sequence))
			return -1;
		add(s, (struct source_claim){ v[1].number, sequence, v[2].number, IN_MYSQL, 0 });
		sources_take(s, sequence);
		*after = sequence;
	}
	return rows.count;
}

static int read_dead(struct service *svc, const struct coupon *c, struct sources *s, struct arena *a)
{
	struct db_rows rows;
	struct record r;
	if (db_query(svc->db, a,
		     "SELECT seq, record FROM dead_letters WHERE coupon_id = ? AND segment = ? AND seq IS NOT NULL",
		     &rows, DB_N(c->id), DB_N(s->segment)))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		int64_t sequence;
		if (db_int(svc->db, &v[0], 1, INT32_MAX, &sequence))
			return -1;
		sources_take(s, sequence);
		if (record_read(v[1].text, &r) && r.sequence == sequence)
			add(s, (struct source_claim){ r.user, r.sequence, r.claimed_ms, DEAD_LETTER, 0 });
	}
	return 0;
}

static int read_cursor(struct service *svc, const struct coupon *c, struct sources *s, struct arena *a)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT next_seq FROM drain_cursors WHERE coupon_id = ? AND segment = ?", &rows,
		     DB_N(c->id), DB_N(s->segment)))
		return -1;
	if (rows.count && db_int(svc->db, db_row(&rows, 0), 1, (int64_t)SEQUENCE_MAX + 1, &s->cursor))
		return -1;
	if (s->cursor - 1 > s->last)
		s->last = s->cursor - 1;
	return 0;
}

enum status sources_read_mysql(struct service *svc, const struct coupon *c, struct sources *s)
{
	struct arena a = { 0 };
	int64_t after = 0;
	int found = 0;
	do {
		arena_reset(&a);
		found = read_rows(svc, c, s, &a, &after);
	} while (found == PAGE);
	bool failed = found < 0 || read_dead(svc, c, s, &a) || read_cursor(svc, c, s, &a);
	arena_release(&a);
	return failed ? failure_of_db(svc->db, "recover") : STATUS_OK;
}

/* Redis */

static bool read_record(struct str raw, struct source_claim *claim)
{
	struct record r = { 0 };
	bool read = record_read(raw, &r);
	*claim = (struct source_claim){
		.source = ON_LIST, .user = r.user, .sequence = r.sequence, .claimed_ms = r.claimed_ms
	};
	return read;
}

/* What is on the list and no order is left to the audit, which names it; its number is missed below, and held. */
static enum status read_list(struct service *svc, const struct coupon *c, struct sources *s, struct arena *a)
{
	const struct redis_reply *page = NULL;
	struct redis_command cmd;
	struct source_claim claim;
	for (int64_t from = 0; !page || redis_count(page) == PAGE; from += PAGE) {
		arena_reset(a);
		redis_command(&cmd, "LRANGE");
		key_put(&cmd, KEY_ORDERS, c->id, s->segment);
		redis_put_int(&cmd, from);
		redis_put_int(&cmd, from + PAGE - 1);
		if (redis_call(svc->redis_now, a, &cmd, &page) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		for (size_t i = 0; i < redis_count(page); i++)
			if (read_record(redis_text_at(page, i), &claim))
				add(s, claim);
	}
	return STATUS_OK;
}

static enum status read_owners(struct service *svc, const struct coupon *c, struct sources *s, struct arena *a)
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
		if (redis_call(svc->redis_now, a, &cmd, &reply) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		page = redis_at(reply, 1);
		for (size_t i = 0; i + 1 < redis_count(page); i += 2) {
			int64_t user = redis_number_at(page, i), sequence = redis_number_at(page, i + 1);
			if (user > 0 && sequence > 0 && sequence <= INT32_MAX)
				add(s, (struct source_claim){ user, sequence, 0, AMONG_OWNERS, sequence });
		}
		struct str next = redis_text_at(reply, 0);
		snprintf(cursor, sizeof cursor, "%.*s", (int)next.n, next.p);
	} while (strcmp(cursor, "0") != 0);
	return STATUS_OK;
}

enum status sources_read_redis(struct service *svc, const struct coupon *c, struct sources *s)
{
	struct arena a = { 0 };
	enum status status = read_list(svc, c, s, &a);
	if (status == STATUS_OK)
		status = read_owners(svc, c, s, &a);
	arena_release(&a);
	return status;
}

/* The customers' lists: "coupon-segment-sequence", scored with the moment of the claim */

struct customer {
	const struct coupon *coupon;
	struct sources *all;
	int64_t user;
	bool *failed;
};

static bool is_of(const struct coupon *c, struct str order, int64_t *segment, int64_t *sequence)
{
	struct str rest = order, piece;
	int64_t coupon;
	return parse_split(&rest, '-', &piece) && parse_int(piece, 1, NUMBER_MAX, &coupon) && coupon == c->id &&
	       parse_split(&rest, '-', &piece) && parse_int(piece, 0, c->segments - 1, segment) &&
	       parse_int(rest, 1, INT32_MAX, sequence);
}

static void on_orders(void *context, enum redis_end end, const struct redis_reply *reply)
{
	const struct customer *customer = context;
	int64_t segment, sequence;
	*customer->failed |= end == REDIS_REFUSED || end == REDIS_UNKNOWN; /* one that is no list names nothing */
	for (size_t i = 0; i + 1 < redis_count(reply); i += 2)
		if (is_of(customer->coupon, redis_text_at(reply, i), &segment, &sequence))
			add(&customer->all[segment],
			    (struct source_claim){ customer->user, sequence, redis_number_at(reply, i + 1), IN_INDEX,
						   0 });
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

static void ask_customer(struct service *svc, const struct coupon *c, struct sources *all, struct arena *a,
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
	redis_send(svc->redis_now, &cmd, on_orders, customer);
}

static enum status scan_server(struct service *svc, const struct coupon *c, struct sources *all, int server,
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
		if (redis_call(svc->redis_now, a, &cmd, &reply) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		page = redis_at(reply, 1);
		for (size_t i = 0; i < redis_count(page); i++)
			ask_customer(svc, c, all, a, redis_text_at(page, i), &failed);
		redis_settle(svc->redis_now);
		if (failed)
			return STATUS_UNAVAILABLE;
		struct str next = redis_text_at(reply, 0);
		snprintf(cursor, sizeof cursor, "%.*s", (int)next.n, next.p);
	} while (strcmp(cursor, "0") != 0);
	return STATUS_OK;
}

enum status sources_read_index(struct service *svc, const struct coupon *c, struct sources *all)
{
	struct arena a = { 0 };
	enum status status = STATUS_OK;
	for (int i = 0; status == STATUS_OK && i < redis_servers(svc->redis_now); i++)
		status = scan_server(svc, c, all, i, &a);
	arena_release(&a);
	return status;
}

enum { AWAY = -1 }; /* in place of a moment */

static void on_time(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct source_claim *claim = context;
	if (end == REDIS_ANSWER)
		claim->claimed_ms = redis_number(reply);
	else if (end != REDIS_BROKEN)
		claim->claimed_ms = AWAY;
}

enum status sources_read_times(struct service *svc, const struct coupon *c, struct sources *s)
{
	char order[ORDER_TEXT];
	for (int i = 0; i < s->count; i++) {
		struct source_claim *claim = &s->claims[i];
		struct redis_command cmd;
		if (claim->claimed_ms || !claim->owner_sequence)
			continue;
		redis_command(&cmd, "ZSCORE");
		key_put(&cmd, KEY_CUSTOMER, claim->user, 0);
		redis_put(&cmd, order_text(order, c->id, s->segment, claim->owner_sequence));
		redis_send(svc->redis_now, &cmd, on_time, claim);
		if (i % PAGE == PAGE - 1)
			redis_settle(svc->redis_now);
	}
	redis_settle(svc->redis_now);
	for (int i = 0; i < s->count; i++)
		if (s->claims[i].claimed_ms == AWAY)
			return STATUS_UNAVAILABLE;
	return STATUS_OK;
}

/* Merging */

static int by_user(const void *left, const void *right)
{
	const struct source_claim *a = left, *b = right;
	if (a->user != b->user)
		return a->user < b->user ? -1 : 1;
	return (int)a->source - (int)b->source;
}

static int by_sequence(const void *left, const void *right)
{
	const struct source_claim *a = left, *b = right;
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	return (int)a->source - (int)b->source;
}

static void keep_one_a_user(struct sources *s)
{
	int kept = 0;
	for (int i = 0; i < s->count; i++) {
		struct source_claim *claim = &s->claims[i];
		if (kept && s->claims[kept - 1].user == claim->user) {
			struct source_claim *first = &s->claims[kept - 1];
			if (claim->owner_sequence)
				first->owner_sequence = claim->owner_sequence;
			if (!first->claimed_ms)
				first->claimed_ms = claim->claimed_ms;
		} else {
			s->claims[kept++] = *claim;
		}
	}
	s->count = kept;
}

void sources_merge(struct sources *s)
{
	if (!s->count)
		return;
	qsort(s->claims, (size_t)s->count, sizeof *s->claims, by_user);
	keep_one_a_user(s);
	qsort(s->claims, (size_t)s->count, sizeof *s->claims, by_sequence);
	for (int i = 0; i < s->count; i++) {
		struct source_claim *claim = &s->claims[i];
		if (claim->source <= DEAD_LETTER)
			continue;
		if (sources_is_taken(s, claim->sequence))
			claim->sequence = 0;
		else
			sources_take(s, claim->sequence);
	}
}

int64_t sources_missing(const struct sources *s)
{
	int64_t missing = s->last - s->cursor + 1;
	if (missing <= 0)
		return 0;
	bool *seen = calloc((size_t)missing, sizeof *seen);
	if (!seen)
		abort();
	for (int64_t n = s->cursor; n <= s->last; n++)
		seen[n - s->cursor] = sources_is_taken(s, n);
	for (int i = 0; i < s->count; i++)
		if (s->claims[i].sequence >= s->cursor)
			seen[s->claims[i].sequence - s->cursor] = true;
	for (int64_t n = s->cursor; n <= s->last; n++)
		missing -= seen[n - s->cursor];
	free(seen);
	return missing;
}
