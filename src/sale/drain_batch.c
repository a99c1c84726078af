#include "sale/drain_batch.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "sale/claim.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/stray.h"
#include "sale/supply.h"

void batch_init(struct batch *b, struct service *svc, struct arena *a, int64_t coupon, int segments)
{
	*b = (struct batch){ .svc = svc, .arena = a, .coupon = coupon, .segments = segments };
	b->capacity = svc->conf->drain_batch + segments;
	b->segment = arena_alloc(a, (size_t)segments * sizeof *b->segment);
	b->records = arena_alloc(a, (size_t)b->capacity * sizeof *b->records);
}

int cursor_row(struct db *db, const struct db_value *row, int64_t *segment, int64_t *next)
{
	return db_int(db, &row[0], 0, INT32_MAX, segment) || db_int(db, &row[1], 1, (int64_t)SEQUENCE_MAX + 1, next);
}

/* Reading */

struct peek {
	struct batch *batch;
	int segment;
};

/* Whether the list is as it was left: else somebody has trimmed it meanwhile, and it is read from its head next time.
 */
static bool is_in_place(struct segment_batch *s, const struct record *r)
{
	if (r && r->sequence == s->passed.sequence)
		return true;
	s->passed = (struct place){ 0 };
	return false;
}

static bool keep_record(struct batch *b, struct record *r, size_t i)
{
	struct segment_batch *s = &b->segment[r->segment];
	bool read = record_read(r->raw, r);
	if (i == 0 && s->passed.sequence)
		return is_in_place(s, read ? r : NULL);
	s->waits = true;
	if (!read && i == 0)
		s->garbage = r->raw;
	if (!read)
		return false; /* what stands behind it waits until it is the head */
	if (!s->first.sequence)
		s->first = (struct place){ r->sequence, s->passed.index + (int64_t)i };
	b->records[b->count++] = *r;
	if (!b->oldest_ms || r->claimed_ms < b->oldest_ms)
		b->oldest_ms = r->claimed_ms;
	return true;
}

static void on_records(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct peek *p = context;
	struct batch *b = p->batch;
	b->away |= end != REDIS_ANSWER;
	if (end == REDIS_ANSWER && !redis_count(reply))
		b->segment[p->segment].passed = (struct place){ 0 };
	for (size_t i = 0; i < redis_count(reply) && b->count < b->capacity; i++) {
		struct record r = { .segment = p->segment, .raw = arena_str(b->arena, redis_text_at(reply, i)) };
		if (!keep_record(b, &r, i))
			break;
	}
}

/* The room of a batch is shared out evenly; a longer list gets its rest in the next one. */
static void peek_all(struct batch *b)
{
	struct redis_command c;
	int share = (b->svc->conf->drain_batch + b->segments - 1) / b->segments;
	struct peek *peeks = arena_alloc(b->arena, (size_t)b->segments * sizeof *peeks);
	for (int i = 0; i < b->segments; i++) {
		const struct place *passed = &b->segment[i].passed;
		peeks[i] = (struct peek){ b, i };
		redis_command(&c, "LRANGE");
		key_put(&c, KEY_ORDERS, b->coupon, i);
		redis_put_int(&c, passed->index);
		redis_put_int(&c, passed->index + share - (passed->sequence ? 0 : 1));
		redis_send(b->svc->redis_now, &c, on_records, &peeks[i]);
	}
	redis_settle(b->svc->redis_now);
}

/* MySQL */

static int failed(struct batch *b, const char *at)
{
	const char *error = db_error(b->svc->db);
	if (db_failure(b->svc->db) == DB_BROKEN)
		log_error_limited("drain_failed", LOG_TEXT("at", at), LOG_INT("coupon", b->coupon),
				  LOG_TEXT("error", error));
	else
		log_warn_limited("drain_failed", LOG_TEXT("at", at), LOG_INT("coupon", b->coupon),
				 LOG_TEXT("error", error));
	return -1;
}

/* The coupon of a segment that has no cursor may be one that MySQL has forgotten. */
static int check_known(struct batch *b)
{
	struct db_rows rows;
	if (b->known)
		return 0;
	if (db_query(b->svc->db, b->arena, "SELECT 1 FROM coupons WHERE id = ?", &rows, DB_N(b->coupon)))
		return -1;
	b->known = rows.count > 0;
	b->stray = !b->known;
	return b->known ? 0 : -1;
}

/* A cursor that is missing is 1, and its row is made here; its key tells when another drainer makes it too. */
static int make_cursor(struct batch *b, int segment)
{
	if (check_known(b))
		return -1;
	b->segment[segment].next = 1;
	int result = db_exec(b->svc->db, "INSERT INTO drain_cursors (coupon_id, segment, next_seq) VALUES (?, ?, 1)",
			     NULL, DB_N(b->coupon), DB_N(segment));
	b->raced = result && db_failure(b->svc->db) == DB_DUPLICATE;
	return result;
}

static int lock_cursors(struct batch *b)
{
	struct db_rows rows;
	if (db_query(b->svc->db, b->arena,
		     "SELECT segment, next_seq FROM drain_cursors WHERE coupon_id = ? ORDER BY segment FOR UPDATE",
		     &rows, DB_N(b->coupon)))
		return -1;
	for (int i = 0; i < b->segments; i++)
		b->segment[i].next = 0;
	for (int i = 0; i < rows.count; i++) {
		int64_t segment, next;
		if (cursor_row(b->svc->db, db_row(&rows, i), &segment, &next))
			return -1;
		if (segment < b->segments)
			b->segment[segment].next = next;
	}
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].waits && !b->segment[i].next && make_cursor(b, i))
			return -1;
	FAULT(drain_locked);
	return 0;
}

/* What MySQL has of a segment's records below its cursor, from this one on. */
static int read_known(struct batch *b, struct segment_batch *s, const struct record *r)
{
	int64_t last = r->sequence + b->count - 1;
	return db_query(b->svc->db, b->arena,
			"SELECT seq, user_id FROM orders WHERE coupon_id = ? AND segment = ? AND seq BETWEEN ? AND ? "
			"ORDER BY seq",
			&s->known, DB_N(b->coupon), DB_N(r->segment), DB_N(r->sequence),
			DB_N(last < s->next ? last : s->next - 1));
}

/* The order that MySQL has under this number must be this one; another means that Redis forgot and counted anew. */
static int check_redelivered(struct batch *b, const struct record *r)
{
	struct segment_batch *s = &b->segment[r->segment];
	if (!s->last && read_known(b, s, r))
		return -1;
	while (s->known_at < s->known.count && db_row(&s->known, s->known_at)->number < r->sequence)
		s->known_at++;
	const struct db_value *row = db_row(&s->known, s->known_at);
	if (s->known_at < s->known.count && row[0].number == r->sequence && row[1].number != r->user) {
		log_error_limited("drain_sequence_reused", LOG_INT("coupon", b->coupon), LOG_INT("segment", r->segment),
				  LOG_INT("sequence", r->sequence), LOG_INT("user", r->user));
		s->skip = true;
	}
	return 0;
}

/* Keeps the records that go into MySQL now, in *fresh; marks how far each segment will be. */
static int select_fresh(struct batch *b, struct record **fresh, int *count)
{
	*fresh = arena_alloc(b->arena, (size_t)b->count * sizeof **fresh + 1);
	*count = 0;
	for (int i = 0; i < b->count; i++) {
		struct record *r = &b->records[i];
		struct segment_batch *s = &b->segment[r->segment];
		if (s->skip)
			continue;
		if (r->sequence < s->next) {
			if (check_redelivered(b, r))
				return -1;
			if (!s->skip)
				s->last = r->sequence;
			continue;
		}
		if (r->sequence > s->next) {
			log_error_limited("drain_gap", LOG_INT("coupon", b->coupon), LOG_INT("segment", r->segment),
					  LOG_INT("expected", s->next), LOG_INT("found", r->sequence));
			s->skip = true;
			continue;
		}
		s->last = s->next++;
		(*fresh)[(*count)++] = *r;
	}
	return 0;
}

/* Multi-row statements come in a few sizes, so that each is prepared once. */
static int insert_some(struct batch *b, const struct record *r, int rows)
{
	enum { COLUMNS = 6 };
	struct buf sql;
	struct db_value *v = arena_alloc(b->arena, (size_t)(rows * COLUMNS) * sizeof *v);
	int64_t now = clock_ms();
	buf_init(&sql, b->arena);
	buf_puts(
		&sql,
		"INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) VALUES ");
	for (int i = 0; i < rows; i++) {
		struct db_value *row = v + (ptrdiff_t)i * COLUMNS;
		buf_puts(&sql, i ? ", (?, ?, ?, ?, 1, ?, ?)" : "(?, ?, ?, ?, 1, ?, ?)");
		row[0] = DB_N(b->coupon);
		row[1] = DB_N(r[i].segment);
		row[2] = DB_N(r[i].sequence);
		row[3] = DB_N(r[i].user);
		row[4] = DB_N(r[i].claimed_ms);
		row[5] = DB_N(now);
	}
	return db_run(b->svc->db, NULL, sql.p, v, rows * COLUMNS, NULL, NULL);
}

static int insert_orders(struct batch *b, const struct record *r, int count)
{
	static const int sizes[] = { 512, 128, 32, 8, 1 };
	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
		for (; count >= sizes[k]; count -= sizes[k], r += sizes[k]) {
			if (insert_some(b, r, sizes[k]))
				return -1;
			FAULT(drain_inserted);
		}
	return 0;
}

/* 1 when the coupon had fewer units than that: MySQL is the last fence. */
static int count_sold(struct batch *b, int units)
{
	int64_t changed = 0;
	if (!units)
		return 0;
	if (db_exec(b->svc->db, "UPDATE coupons SET sold = sold + ? WHERE id = ? AND sold + ? <= amount", &changed,
		    DB_N(units), DB_N(b->coupon), DB_N(units)))
		return -1;
	FAULT(drain_counted);
	return changed != 1;
}

static int move_cursors(struct batch *b)
{
	struct buf sql;
	int n = 0, params = 0, moved[256];
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].last)
			moved[n++] = i;
	if (!n)
		return 0;
	struct db_value *v = arena_alloc(b->arena, (size_t)(4 * 256 + 1) * sizeof *v);
	int size = 1;
	while (size < n)
		size *= 2;
	while (n < size) { /* repeats fill up to a power of two: few statements to prepare */
		moved[n] = moved[n - 1];
		n++;
	}
	buf_init(&sql, b->arena);
	buf_puts(&sql, "UPDATE drain_cursors SET next_seq = CASE segment");
	for (int i = 0; i < n; i++) {
		buf_puts(&sql, " WHEN ? THEN ?");
		v[params++] = DB_N(moved[i]);
		v[params++] = DB_N(b->segment[moved[i]].next);
	}
	buf_puts(&sql, " END WHERE coupon_id = ? AND segment IN (");
	v[params++] = DB_N(b->coupon);
	for (int i = 0; i < n; i++) {
		buf_puts(&sql, i ? ", ?" : "?");
		v[params++] = DB_N(moved[i]);
	}
	buf_puts(&sql, ")");
	if (db_run(b->svc->db, NULL, sql.p, v, params, NULL, NULL))
		return -1;
	FAULT(drain_moved);
	return 0;
}

static int bury(struct batch *b, int segment, int64_t sequence, struct str raw, const char *reason)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	if (!EVP_Digest(raw.p, raw.n, digest, &size, EVP_sha256(), NULL))
		abort();
	struct str kept = { raw.p, raw.n > 4096 ? 4096 : raw.n };
	struct db_value seq = sequence ? DB_N(sequence) : DB_NIL;
	log_error("dead_letter", LOG_INT("coupon", b->coupon), LOG_INT("segment", segment), LOG_STR("record", kept),
		  LOG_TEXT("reason", reason));
	b->dead++;
	return db_exec(b->svc->db,
		       "INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?)",
		       NULL, DB_N(b->coupon), DB_N(segment), seq, DB_S(kept),
		       DB_S(((struct str){ (char *)digest, size })), DB_S(str_of(reason)), DB_N(clock_ms()));
}

/* A failure that the same values will meet again. */
static bool is_refusal(const struct batch *b)
{
	enum db_failure f = db_failure(b->svc->db);
	return f == DB_DUPLICATE || f == DB_DATA;
}

struct entry {
	const struct record *record;
	bool *held;
};

/*
 * The customer's list may be on a server that is lost, while the order's list is not: then the order stays on that for
 * a while, and is entered again. Not when Redis is full: trimming makes room.
 */
static void on_entry(void *context, enum redis_end end, const struct redis_reply *reply)
{
	enum { ENTRY_WAITS_MS = 10000 };
	const struct entry *e = context;
	if (end != REDIS_ANSWER && !str_starts(redis_text(reply), STR("OOM")) &&
	    clock_ms() - e->record->claimed_ms < ENTRY_WAITS_MS)
		*e->held = true;
}

/*
 * On a cluster a worker can die between an order and its entry in the customer's list; one server writes both or
 * neither (claim.lua). Once, and only what has its row or gets it now. Redis is at it while MySQL inserts.
 */
static int enter_orders(struct batch *b)
{
	struct redis_command c;
	char order[ORDER_TEXT];
	if (b->entered || redis_is_single(b->svc->redis_now))
		return 0;
	b->entered = true;
	struct entry *entries = arena_alloc(b->arena, (size_t)b->count * sizeof *entries);
	for (int i = 0; i < b->count; i++) {
		const struct record *r = &b->records[i];
		struct segment_batch *s = &b->segment[r->segment];
		if (r->sequence > s->last)
			continue;
		entries[i] = (struct entry){ r, &s->held };
		redis_command(&c, "ZADD");
		key_put(&c, KEY_CUSTOMER, r->user, 0);
		redis_put_int(&c, r->claimed_ms);
		redis_put(&c, order_text(order, b->coupon, r->segment, r->sequence));
		redis_send(b->svc->redis_now, &c, on_entry, &entries[i]);
	}
	redis_push(b->svc->redis_now);
	return 0;
}

/*
 * One transaction: 0 committed, 1 refused for one of its values (rolled back), -1 try again later.
 */
static int commit_batch(struct batch *b)
{
	struct db *db = b->svc->db;
	struct record *fresh;
	int count, oversold = 0;
	b->raced = b->oversold = false;
	for (int i = 0; i < b->segments; i++) {
		b->segment[i].last = 0;
		b->segment[i].skip = false;
		b->segment[i].known = (struct db_rows){ 0 };
		b->segment[i].known_at = 0;
	}
	if (db_begin(db) || lock_cursors(b) || select_fresh(b, &fresh, &count) || enter_orders(b) ||
	    insert_orders(b, fresh, count) || (oversold = count_sold(b, count)) || move_cursors(b) || db_commit(db)) {
		b->oversold = oversold == 1;
		bool refused = !b->raced && !b->stray && (b->oversold || is_refusal(b));
		if (!refused && !b->stray)
			failed(b, "batch");
		db_rollback(db);
		return refused ? 1 : -1;
	}
	b->committed += count;
	FAULT(drain_committed);
	return 0;
}

/* The transaction of one order, which may end as a dead letter. */
static int commit_one(struct batch *b, const struct record *r)
{
	struct db *db = b->svc->db;
	struct batch one = *b;
	one.records = (struct record *)r;
	one.count = 1;
	one.committed = 0;
	int result = commit_batch(&one);
	b->committed += one.committed;
	if (result != 1)
		return result;
	FAULT(drain_refused);
	const char *reason = is_refusal(b) ? arena_printf(b->arena, "%.200s", db_error(db)) : "more orders than units";
	struct segment_batch *s = &b->segment[r->segment];
	if (db_begin(db) || lock_cursors(b)) {
		db_rollback(db);
		return failed(b, "dead letter");
	}
	if (s->next != r->sequence) { /* another drainer was here meanwhile: a cursor never moves back */
		s->skip = s->next < r->sequence;
		db_rollback(db);
		return 0;
	}
	if (bury(b, r->segment, r->sequence, r->raw, reason) && db_failure(db) != DB_DUPLICATE) {
		db_rollback(db);
		return failed(b, "dead letter");
	}
	FAULT(drain_buried);
	s->last = r->sequence;
	s->next = r->sequence + 1;
	if (move_cursors(b) || db_commit(db)) {
		db_rollback(db);
		return failed(b, "dead letter");
	}
	return 0;
}

static int commit_each(struct batch *b)
{
	int64_t *last = arena_alloc(b->arena, (size_t)b->segments * sizeof *last);
	bool *stopped = arena_alloc(b->arena, (size_t)b->segments * sizeof *stopped);
	for (int i = 0; i < b->count; i++) {
		const struct record *r = &b->records[i];
		if (stopped[r->segment])
			continue;
		if (commit_one(b, r))
			return -1;
		stopped[r->segment] = b->segment[r->segment].skip;
		if (!stopped[r->segment])
			last[r->segment] = r->sequence;
	}
	for (int i = 0; i < b->segments; i++)
		b->segment[i].last = last[i];
	return 0;
}

static void put_sha1(struct redis_command *c, struct str raw)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned int size = 0;
	if (!EVP_Digest(raw.p, raw.n, digest, &size, EVP_sha1(), NULL))
		abort();
	for (unsigned int i = 0; i < size; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
	redis_put_text(c, hex);
}

static int bury_garbage(struct batch *b, int segment)
{
	struct redis_command c;
	struct str raw = b->segment[segment].garbage;
	if (bury(b, segment, 0, raw, "not an order record") && db_failure(b->svc->db) != DB_DUPLICATE)
		return failed(b, "dead letter");
	FAULT(drain_garbage);
	redis_script(&c, &script_drop, 1);
	key_put(&c, KEY_ORDERS, b->coupon, segment);
	put_sha1(&c, raw);
	return redis_call(b->svc->redis_now, b->arena, &c, NULL) == REDIS_ANSWER ? 0 : -1;
}

static void on_trim(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct segment_batch *s = context;
	(void)reply;
	s->trimmed = end == REDIS_ANSWER;
}

/*
 * After the commit: lists get shorter. A trim that is lost or refused (Redis is full, has too few replicas, or is away)
 * costs a repetition, later; until then the orders are passed over, and not trimmed with those behind them: some may
 * not be in their customers' lists yet.
 */
static void trim(struct batch *b)
{
	struct redis_command c;
	for (int i = 0; i < b->segments; i++) {
		struct segment_batch *s = &b->segment[i];
		if (!s->last || s->held || s->passed.sequence)
			continue;
		redis_script(&c, &script_trim, 1);
		key_put(&c, KEY_ORDERS, b->coupon, i);
		redis_put_int(&c, s->last);
		redis_send(b->svc->redis_now, &c, on_trim, s);
	}
	redis_settle(b->svc->redis_now);
	FAULT(drain_trimmed);
	for (int i = 0; i < b->segments; i++) {
		struct segment_batch *s = &b->segment[i];
		if (s->trimmed)
			s->passed = (struct place){ 0 };
		else if (s->last)
			s->passed = (struct place){ s->last, s->first.index + s->last - s->first.sequence };
	}
}

static int close_stray(struct batch *b)
{
	struct stray s;
	if (stray_read(b->svc, b->arena, b->coupon, &s) != STATUS_OK)
		return -1;
	s.segments = b->segments;
	return stray_close(b->svc, b->arena, &s) == STATUS_OK ? 0 : -1;
}

/* More orders than units: before any of them is refused, MySQL learns of units that it may have forgotten. */
static int commit_oversold(struct batch *b)
{
	struct supply_opening o; /* a worker opens the sale; nobody waits for that here */
	enum status s = supply_redo(b->svc, b->arena, b->coupon, &o);
	if (s == STATUS_NO_SUCH_COUPON) { /* or not published, as far as MySQL knows: a recovery mends that */
		b->known = false;
		return check_known(b) ? -1 : failed(b, "a coupon that is not published");
	}
	if (s == STATUS_UNAVAILABLE || s == STATUS_INTERNAL)
		return -1;
	int result = commit_batch(b);
	return result == 1 ? commit_each(b) : result;
}

static int commit_all(struct batch *b)
{
	int result = commit_batch(b);
	if (result == 1)
		result = b->oversold ? commit_oversold(b) : commit_each(b);
	return b->stray ? close_stray(b) : result;
}

int batch_move(struct batch *b)
{
	peek_all(b);
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].garbage.p && bury_garbage(b, i))
			return -1;
	FAULT(drain_peeked);
	if (!b->count)
		return 0;
	int result = commit_all(b);
	if (result || redis_servers(b->svc->redis_now) > 1) /* one server does what it is told in order, or neither */
		redis_settle(b->svc->redis_now);
	if (result == 0 && !b->stray)
		trim(b);
	return result ? -1 : b->committed;
}
