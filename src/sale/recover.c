#include "sale/recover.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "sale/claim.h"
#include "sale/dead.h"
#include "sale/drain_batch.h"
#include "sale/failure.h"
#include "sale/fence.h"
#include "sale/publish.h"
#include "sale/scripts.h"
#include "sale/sold_out.h"
#include "sale/sources.h"

/* Beyond a segment's cursor: more than that was never sold between two looks of the drainers. */
enum { MOST_NUMBERS = 20000000 };

struct recover {
	struct service *svc;
	struct arena *arena;
	bool resell;
	struct coupon coupon;
	struct str closed;  /* the fence of its slots meanwhile */
	struct str written; /* and when they are written: who has that has all before it, also after a failover */
	int64_t closed_ms;
	int64_t cancelled;
	struct sources *sources; /* of each segment */
	int64_t room;            /* units for which MySQL has no order yet */
	int64_t numbers, dead;   /* sequences given out in all segments; of these, dead letters */
	bool failed;             /* a command to Redis */
	struct recovery *out;
};

/* Closing */

static void on_done(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct recover *r = context;
	if (end != REDIS_ANSWER || (redis_type(reply) == REDIS_LIST && !str_eq(redis_text_at(reply, 0), STR("OK"))))
		r->failed = true;
}

static enum status settle(struct recover *r)
{
	redis_settle(r->svc->redis_now);
	return r->failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

static void send(struct recover *r, const struct redis_command *c)
{
	redis_send(r->svc->redis_now, c, on_done, r);
}

static enum status next_generation(struct recover *r, int64_t id)
{
	struct db_rows rows;
	bool published;
	if (db_exec(r->svc->db, "UPDATE coupons SET generation = generation + 1 WHERE id = ? AND published = 1", NULL,
		    DB_N(id)) ||
	    db_query(r->svc->db, r->arena,
		     "SELECT " PUBLISH_COLUMNS ", c.cancelled FROM coupons c JOIN users u ON u.id = c.seller_id "
		     "WHERE c.id = ? AND c.published = 1",
		     &rows, DB_N(id)))
		return failure_of_db(r->svc->db, "recover");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	publish_row(&r->coupon, rows.values, &published);
	r->cancelled = rows.values[15].number;
	r->out->generation = r->coupon.generation;
	r->closed = str_of(arena_printf(r->arena, "%lld!", (long long)r->coupon.generation));
	r->written = str_of(arena_printf(r->arena, "%lld!written", (long long)r->coupon.generation));
	return STATUS_OK;
}

/* Also where nothing is: a slot that another node finds later must not open. */
static enum status close_slots(struct recover *r)
{
	struct redis_command c;
	fence_close_command(&c, KEY_HUB, r->coupon.id, 0, STR(""), r->coupon.generation);
	send(r, &c);
	for (int i = 0; i < r->coupon.segments; i++) {
		fence_close_command(&c, KEY_SEGMENT, r->coupon.id, i, STR(""), r->coupon.generation);
		send(r, &c);
	}
	enum status s = settle(r);
	r->closed_ms = clock_mono_ms();
	return s;
}

/* Orders that are well and only wait go the usual way first: it is the fast one. */
static enum status drain_first(struct recover *r)
{
	struct arena a = { 0 };
	struct batch b;
	int moved, tries = 3; /* a drainer may begin with this coupon at the same moment */
	do {
		arena_reset(&a);
		batch_init(&b, r->svc, &a, r->coupon.id, r->coupon.segments);
		moved = batch_move(&b);
	} while (moved > 0 || (moved < 0 && --tries));
	arena_release(&a);
	return moved < 0 ? STATUS_UNAVAILABLE : STATUS_OK;
}

/* Reading, with the cursors locked: no drainer commits anything of this coupon meanwhile. */

/* STATUS_BUSY: a later recovery has taken over, while this one stood still and lost its connection, and so its lock. */
static enum status lock(struct recover *r)
{
	struct db_rows cursors, coupon;
	if (db_begin(r->svc->db) ||
	    db_query(r->svc->db, r->arena, "SELECT segment FROM drain_cursors WHERE coupon_id = ? FOR UPDATE", &cursors,
		     DB_N(r->coupon.id)) ||
	    db_query(r->svc->db, r->arena,
		     "SELECT amount, sold FROM coupons WHERE id = ? AND generation = ? FOR UPDATE", &coupon,
		     DB_N(r->coupon.id), DB_N(r->coupon.generation)))
		return failure_of_db(r->svc->db, "recover");
	if (!coupon.count)
		return STATUS_BUSY;
	r->coupon.amount = coupon.values[0].number;
	r->room = coupon.values[0].number - coupon.values[1].number;
	return STATUS_OK;
}

static enum status read_segment(struct recover *r, int i)
{
	struct sources *s = &r->sources[i];
	sources_init(s, i);
	enum status status = sources_read_mysql(r->svc, &r->coupon, s);
	if (status == STATUS_OK)
		status = sources_read_redis(r->svc, &r->coupon, s);
	int64_t seen = mark_read(fence_mark(r->svc->marks, &r->coupon, i));
	if (seen > s->last)
		s->last = seen;
	return status;
}

/* The customers' lists are asked only when orders are missing without them: it takes a look at every customer. */
static enum status read_all(struct recover *r)
{
	int64_t missing = 0;
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++) {
		s = read_segment(r, i);
		if (s == STATUS_OK && r->sources[i].last - r->sources[i].cursor > MOST_NUMBERS) {
			log_error("recover_absurd_sequence", LOG_INT("coupon", r->coupon.id), LOG_INT("segment", i),
				  LOG_INT("sequence", r->sources[i].last));
			s = STATUS_INTERNAL;
		} else if (s == STATUS_OK) {
			missing += sources_missing(&r->sources[i]);
		}
	}
	if (s == STATUS_OK && missing)
		s = sources_read_index(r->svc, &r->coupon, r->sources);
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++)
		sources_merge(&r->sources[i]);
	return s;
}

/* Into MySQL */

static int insert_order(struct recover *r, int segment, const struct source_claim *claim)
{
	return db_exec(r->svc->db,
		       "INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
		       "VALUES (?, ?, ?, ?, 1, ?, ?)",
		       NULL, DB_N(r->coupon.id), DB_N(segment), DB_N(claim->sequence), DB_N(claim->user),
		       DB_N(claim->claimed_ms ? claim->claimed_ms : clock_ms()), DB_N(clock_ms()));
}

/* One that was written by a run before this one is left as it is. */
static int bury(struct recover *r, int segment, struct db_value sequence, const char *record, const char *reason)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	if (!EVP_Digest(record, strlen(record), digest, &size, EVP_sha256(), NULL))
		abort();
	log_error("dead_letter", LOG_INT("coupon", r->coupon.id), LOG_INT("segment", segment),
		  LOG_TEXT("record", record), LOG_TEXT("reason", reason));
	int result = db_exec(r->svc->db,
			     "INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) "
			     "VALUES (?, ?, ?, ?, ?, ?, ?)",
			     NULL, DB_N(r->coupon.id), DB_N(segment), sequence, DB_S(str_of(record)),
			     DB_S(((struct str){ (char *)digest, size })), DB_S(str_of(reason)), DB_N(clock_ms()));
	return result && db_failure(r->svc->db) != DB_DUPLICATE ? -1 : 0;
}

static const char *record_of(struct recover *r, const struct source_claim *claim)
{
	return arena_printf(r->arena, "%lld|%lld|%lld", (long long)claim->sequence, (long long)claim->user,
			    (long long)(claim->claimed_ms ? claim->claimed_ms : clock_ms()));
}

/* Its number stays free, as its unit does not exist; the customer may ask again, and is told the truth. */
static int refuse(struct recover *r, struct sources *s, struct source_claim *claim)
{
	const char *record = record_of(r, claim);
	claim->sequence = 0;
	r->out->refused++;
	return bury(r, s->segment, DB_NIL, record, "oversold by data loss");
}

static int rescue(struct recover *r, struct sources *s, struct source_claim *claim)
{
	if (!r->room)
		return refuse(r, s, claim);
	if (!claim->sequence) {
		claim->sequence = s->last + 1;
		sources_take(s, claim->sequence);
		r->out->renumbered++;
	}
	if (insert_order(r, s->segment, claim) == 0) {
		r->room--;
		r->out->rescued++;
		return 0;
	}
	enum db_failure f = db_failure(r->svc->db);
	if (f != DB_DUPLICATE && f != DB_DATA)
		return -1;
	r->out->refused++;
	return bury(r, s->segment, DB_N(claim->sequence), record_of(r, claim),
		    arena_printf(r->arena, "MySQL refuses it: %s", db_error(r->svc->db)));
}

static int rescue_all(struct recover *r, struct sources *s)
{
	for (int i = 0; i < s->count; i++)
		if (s->claims[i].source > DEAD_LETTER && rescue(r, s, &s->claims[i]))
			return -1;
	return 0;
}

static const char lost[] = "given out, and lost by Redis: whose it was is not known";

static int hold_unknown(struct recover *r, struct sources *s)
{
	for (int64_t n = s->cursor; n <= s->last; n++) {
		if (sources_is_taken(s, n))
			continue;
		r->out->unknown++;
		if (bury(r, s->segment, DB_N(n), arena_printf(r->arena, "%lld|?|?", (long long)n), lost))
			return -1;
	}
	return 0;
}

/* Also those that a recovery before this one held back. */
static int release_unknown(struct recover *r)
{
	if (!r->resell)
		return 0;
	return db_exec(r->svc->db,
		       "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = ? "
		       "WHERE coupon_id = ? AND reason = ? AND state = ?",
		       NULL, DB_N(DEAD_RESOLD), DB_N(clock_ms()), DB_S(STR("recover --resell-unknown")),
		       DB_N(r->coupon.id), DB_S(str_of(lost)), DB_N(DEAD_OPEN));
}

static int move_cursor(struct recover *r, const struct sources *s)
{
	r->numbers += s->last;
	return db_exec(r->svc->db,
		       "INSERT INTO drain_cursors (coupon_id, segment, next_seq) VALUES (?, ?, ?) "
		       "ON DUPLICATE KEY UPDATE next_seq = ?",
		       NULL, DB_N(r->coupon.id), DB_N(s->segment), DB_N(s->last + 1), DB_N(s->last + 1));
}

static int count(struct recover *r)
{
	struct db_rows rows;
	if (db_exec(r->svc->db, "UPDATE coupons SET sold = sold + ? WHERE id = ?", NULL, DB_N(r->out->rescued),
		    DB_N(r->coupon.id)) ||
	    db_query(
		    r->svc->db, r->arena,
		    "SELECT (SELECT COUNT(*) FROM orders WHERE coupon_id = ?), "
		    "(SELECT COUNT(*) FROM dead_letters WHERE coupon_id = ? AND seq IS NOT NULL AND state NOT IN (?, ?))",
		    &rows, DB_N(r->coupon.id), DB_N(r->coupon.id), DB_N(DEAD_RETRIED), DB_N(DEAD_RESOLD)))
		return -1;
	r->out->orders = rows.values[0].number;
	r->dead = rows.values[1].number;
	return 0;
}

static enum status store(struct recover *r)
{
	enum status s = lock(r);
	if (s == STATUS_OK)
		s = read_all(r);
	bool failed = false;
	for (int i = 0; s == STATUS_OK && !failed && i < r->coupon.segments; i++)
		failed = rescue_all(r, &r->sources[i]) || hold_unknown(r, &r->sources[i]) ||
			 move_cursor(r, &r->sources[i]);
	if (s == STATUS_OK && !failed)
		failed = release_unknown(r) || count(r) || db_commit(r->svc->db);
	if (failed)
		s = failure_of_db(r->svc->db, "recover");
	if (s != STATUS_OK)
		db_rollback(r->svc->db);
	return s;
}

/* Back into Redis. The slots are closed: nothing reads what is half written. */

/* The start of a write that is done only while the slot is closed by this recovery. */
static void rewrite(struct redis_command *c, const struct recover *r, enum key slot, enum key key, int segment,
		    const char *command)
{
	redis_script(c, &script_rewrite, 2);
	key_put(c, slot, r->coupon.id, segment);
	key_put(c, key, r->coupon.id, segment);
	redis_put(c, r->closed);
	redis_put_text(c, command);
}

static enum status end_rewriting(struct recover *r, enum key slot, int segment)
{
	struct redis_command c;
	enum status s = settle(r); /* a script that had to be loaded first may come after what was sent after it */
	if (s != STATUS_OK)
		return s;
	fence_hold_command(&c, slot, r->coupon.id, segment, r->closed, r->written);
	send(r, &c);
	return settle(r);
}

static void put_field(struct redis_command *c, const char *name, int64_t value)
{
	redis_put_text(c, name);
	redis_put_int(c, value);
}

/* A word of the customer's list: a number that holds, or one that does not any more. */
static void index_command(struct redis_command *c, const struct recover *r, int segment, int64_t user,
			  const int64_t *claimed_ms, int64_t sequence)
{
	char order[ORDER_TEXT];
	redis_command(c, claimed_ms ? "ZADD" : "ZREM");
	key_put(c, KEY_CUSTOMER, user, 0);
	if (claimed_ms)
		redis_put_int(c, *claimed_ms);
	redis_put(c, order_text(order, r->coupon.id, segment, sequence));
}

static void own(struct recover *r, const struct sources *s, const struct source_claim *claim)
{
	struct redis_command c;
	if (claim->sequence == claim->owner_sequence)
		return;
	if (claim->owner_sequence) {
		index_command(&c, r, s->segment, claim->user, NULL, claim->owner_sequence);
		send(r, &c);
	}
	rewrite(&c, r, KEY_SEGMENT, KEY_OWNERS, s->segment, claim->sequence ? "HSET" : "HDEL");
	redis_put_int(&c, claim->user);
	if (claim->sequence)
		redis_put_int(&c, claim->sequence);
	send(r, &c);
	if (!claim->sequence)
		return;
	index_command(&c, r, s->segment, claim->user, &claim->claimed_ms, claim->sequence);
	send(r, &c);
}

static enum status write_segment(struct recover *r, const struct sources *s)
{
	enum { GROUP = 1000 };
	struct redis_command c;
	for (int i = 0; i < s->count; i++) {
		own(r, s, &s->claims[i]);
		if (i % GROUP == GROUP - 1)
			redis_settle(r->svc->redis_now);
	}
	rewrite(&c, r, KEY_SEGMENT, KEY_ORDERS, s->segment, "DEL");
	send(r, &c);
	rewrite(&c, r, KEY_SEGMENT, KEY_SEGMENT, s->segment, "HSETNX"); /* one that was paused or has ended stays so */
	redis_put_text(&c, "state");
	redis_put_text(&c, "open");
	send(r, &c);
	rewrite(&c, r, KEY_SEGMENT, KEY_SEGMENT, s->segment, "HSET");
	put_field(&c, "t0", r->coupon.starts_ms);
	put_field(&c, "t1", r->coupon.ends_ms);
	put_field(&c, "left", 0);
	put_field(&c, "I", s->last);
	put_field(&c, "O", 0);
	put_field(&c, "n", s->last);
	put_field(&c, "epoch", 0);
	put_field(&c, "until", 0);
	send(r, &c);
	return end_rewriting(r, KEY_SEGMENT, s->segment);
}

/* All that is left lies in the hub. `skipped` are numbers that hold no unit: total = units of all numbers + available.
 */
static enum status write_hub(struct recover *r)
{
	struct redis_command c;
	int64_t units = r->coupon.amount + r->cancelled, available = units - r->out->orders - r->dead;
	r->out->available = available > 0 ? available : 0;
	rewrite(&c, r, KEY_HUB, KEY_HUB, 0, "HSET");
	put_field(&c, "amount", r->coupon.amount);
	put_field(&c, "cancelled", r->cancelled);
	put_field(&c, "segments", r->coupon.segments);
	put_field(&c, "avail", r->out->available);
	put_field(&c, "skipped", r->out->available + r->numbers - units);
	put_field(&c, "sold_out", 0);
	put_field(&c, "epoch", 0);
	redis_put_text(&c, "empty");
	char zeros[SEGMENTS_MAX];
	memset(zeros, '0', sizeof zeros);
	redis_put(&c, (struct str){ zeros, (size_t)r->coupon.segments });
	send(r, &c);
	for (int i = 0; i < r->coupon.segments; i++) {
		rewrite(&c, r, KEY_HUB, KEY_HUB, 0, "HSET");
		put_field(&c, arena_printf(r->arena, "G%d", i), r->sources[i].last);
		put_field(&c, arena_printf(r->arena, "R%d", i), 0);
		send(r, &c);
	}
	return end_rewriting(r, KEY_HUB, 0);
}

static enum status restore(struct recover *r)
{
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++) {
		s = write_segment(r, &r->sources[i]);
		FAULT(recover_segment);
	}
	if (s == STATUS_OK)
		s = write_hub(r);
	return s == STATUS_OK ? publish_enter(r->svc, r->arena, &r->coupon) : s;
}

static void forget(struct recover *r, enum key set)
{
	struct redis_command c;
	redis_command(&c, "SREM");
	key_put(&c, set, 0, 0);
	redis_put_text(&c, arena_printf(r->arena, "%lld:%d", (long long)r->coupon.id, r->coupon.segments));
	send(r, &c);
}

/*
 * Only slots that are still closed by us: a later recovery has another generation. Workers and nginx may have kept
 * "sold out" from before, and there may be units now.
 */
static enum status open_slots(struct recover *r)
{
	struct redis_command c;
	while (clock_mono_ms() - r->closed_ms <= SOLD_OUT_LEASE_MS)
		usleep(10000);
	for (int i = 0; i < r->coupon.segments; i++) {
		fence_open_command(&c, KEY_SEGMENT, r->coupon.id, i, r->written, r->coupon.generation);
		send(r, &c);
	}
	fence_open_command(&c, KEY_HUB, r->coupon.id, 0, r->written, r->coupon.generation);
	send(r, &c);
	forget(r, KEY_CLOSED);
	forget(r, KEY_DOUBT);
	return settle(r);
}

/* One recovery of a coupon at a time */

static enum status recover_locked(struct recover *r, int64_t id)
{
	enum status s = next_generation(r, id);
	FAULT(recover_raised);
	if (s == STATUS_OK)
		s = close_slots(r);
	FAULT(recover_closed);
	if (s == STATUS_OK)
		s = drain_first(r);
	FAULT(recover_drained);
	if (s != STATUS_OK)
		return s;
	r->sources = arena_alloc(r->arena, (size_t)r->coupon.segments * sizeof *r->sources);
	s = store(r);
	FAULT(recover_stored);
	if (s == STATUS_OK)
		s = restore(r);
	FAULT(recover_restored);
	if (s == STATUS_OK)
		s = open_slots(r);
	FAULT(recover_opened);
	for (int i = 0; i < r->coupon.segments; i++)
		sources_free(&r->sources[i]);
	return s;
}

enum status recover_coupon(struct service *svc, struct arena *a, int64_t coupon, bool resell, struct recovery *out)
{
	enum { LOCK_S = 1 };
	struct recover r = { .svc = svc, .arena = a, .resell = resell, .out = out };
	struct db_rows got, released;
	*out = (struct recovery){ 0 };
	struct str name = str_of(arena_printf(a, "seckill.recover.%lld", (long long)coupon));
	if (db_query(svc->db, a, "SELECT GET_LOCK(?, ?)", &got, DB_S(name), DB_N(LOCK_S)))
		return failure_of_db(svc->db, "recover");
	if (got.values[0].number != 1)
		return STATUS_BUSY;
	redis_wait_up(svc->redis_now);
	enum status s = recover_locked(&r, coupon);
	if (db_query(svc->db, a, "SELECT RELEASE_LOCK(?)", &released, DB_S(name)))
		db_close(svc->db); /* which releases it too */
	return s;
}
