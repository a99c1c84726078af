#include "sale/recover.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "sale/abandoned.h"
#include "sale/claim.h"
#include "sale/dead.h"
#include "sale/drain_batch.h"
#include "sale/failure.h"
#include "sale/fence.h"
#include "sale/publish.h"
#include "sale/recover_part.h"
#include "sale/supply.h"

/* Beyond a segment's cursor: more than that was never sold between two looks of the drainers. */
enum { MOST_NUMBERS = 20000000 };

/* A MySQL that is older than the last step of a creation does not know that the sale was published; Redis does. */
static enum status publish_again(struct recover *r)
{
	enum status s = abandoned_look(r->svc, r->coupon.id, r->coupon.segments);
	if (s != STATUS_FENCED)
		return s == STATUS_OK ? STATUS_NO_SUCH_COUPON : s;
	if (db_exec(r->svc->db, "UPDATE coupons SET published = 1 WHERE id = ?", NULL, DB_N(r->coupon.id)))
		return failure_of_db(r->svc->db, "recover");
	return STATUS_OK;
}

static enum status read_coupon(struct recover *r, int64_t id)
{
	struct db_rows rows;
	bool published;
	if (db_query(r->svc->db, r->arena,
		     "SELECT " PUBLISH_COLUMNS " FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(id)))
		return failure_of_db(r->svc->db, "recover");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (publish_row(r->svc->db, &r->coupon, db_row(&rows, 0), &published))
		return failure_of_db(r->svc->db, "recover");
	return published ? STATUS_OK : publish_again(r);
}

/* Above the slots' own, too: MySQL may be older than an earlier recovery, and scripts of that must not be executed. */
static enum status next_generation(struct recover *r, int64_t id, int64_t highest)
{
	int64_t changed = 0, before = r->coupon.generation, next = (highest > before ? highest : before) + 1;
	if (db_exec(r->svc->db, "UPDATE coupons SET generation = ? WHERE id = ? AND generation = ?", &changed,
		    DB_N(next), DB_N(id), DB_N(before)))
		return failure_of_db(r->svc->db, "recover");
	if (!changed)
		return STATUS_BUSY;
	r->coupon.generation = r->out->generation = next;
	r->closed = str_of(arena_printf(r->arena, "%lld!", (long long)next));
	r->written = str_of(arena_printf(r->arena, "%lld!written", (long long)next));
	return STATUS_OK;
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
		moved = b.away ? -1 : moved;
	} while (moved > 0 || (moved < 0 && --tries));
	arena_release(&a);
	return moved < 0 ? STATUS_UNAVAILABLE : STATUS_OK;
}

/* Reading, with the cursors locked: no drainer commits anything of this coupon meanwhile. */

/*
 * Units put on sale and given back are totals that only grow: the higher of MySQL's and the hub's is right.
 * STATUS_BUSY: a later recovery has taken over, while this one stood still and lost its connection, and so its lock.
 */
static enum status lock(struct recover *r)
{
	struct db_rows cursors, coupon;
	int64_t amount = 0, cancelled = 0;
	enum status s = supply_read_hub(r->svc, r->arena, r->coupon.id, &amount, &cancelled);
	if (s != STATUS_OK)
		return s;
	if (db_begin_long(r->svc->db) ||
	    db_query(r->svc->db, r->arena, "SELECT segment FROM drain_cursors WHERE coupon_id = ? FOR UPDATE", &cursors,
		     DB_N(r->coupon.id)) ||
	    supply_raise(r->svc, r->coupon.id, amount, cancelled) ||
	    db_query(r->svc->db, r->arena,
		     "SELECT amount, sold, cancelled FROM coupons WHERE id = ? AND generation = ? FOR UPDATE", &coupon,
		     DB_N(r->coupon.id), DB_N(r->coupon.generation)))
		return failure_of_db(r->svc->db, "recover");
	if (!coupon.count)
		return STATUS_BUSY;
	const struct db_value *v = db_row(&coupon, 0);
	r->coupon.amount = v[0].number;
	r->room = v[0].number - v[1].number;
	r->cancelled = v[2].number;
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
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++) {
		sources_merge(&r->sources[i]);
		s = sources_read_times(r->svc, &r->coupon, &r->sources[i]);
	}
	return s;
}

/* Into MySQL */

static int insert_order(struct recover *r, int segment, const struct source_claim *claim)
{
	return db_exec(r->svc->db,
		       "INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
		       "VALUES (?, ?, ?, ?, 1, ?, ?)",
		       NULL, DB_N(r->coupon.id), DB_N(segment), DB_N(claim->sequence), DB_N(claim->user),
		       DB_N(claim->claimed_ms), DB_N(clock_ms()));
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
			    (long long)claim->claimed_ms);
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
	if (!claim->claimed_ms)
		claim->claimed_ms = clock_ms();
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
	    db_query_row(
		    r->svc->db, r->arena,
		    "SELECT (SELECT COUNT(*) FROM orders WHERE coupon_id = ?), "
		    "(SELECT COUNT(*) FROM dead_letters WHERE coupon_id = ? AND seq IS NOT NULL AND state NOT IN (?, ?))",
		    &rows, DB_N(r->coupon.id), DB_N(r->coupon.id), DB_N(DEAD_RETRIED), DB_N(DEAD_RESOLD)))
		return -1;
	r->out->orders = db_row(&rows, 0)[0].number;
	r->dead = db_row(&rows, 0)[1].number;
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

static void new_sources(struct recover *r)
{
	r->sources = arena_alloc(r->arena, (size_t)r->coupon.segments * sizeof *r->sources);
}

static void free_sources(struct recover *r)
{
	for (int i = 0; i < r->coupon.segments; i++)
		sources_free(&r->sources[i]);
}

/*
 * All is read as it will be read once the slots are closed, and every server that will be written to must be there: one
 * that is away is noticed before anything is changed.
 */
static enum status look(struct recover *r, int64_t id, int64_t *highest)
{
	enum status s = read_coupon(r, id);
	if (s == STATUS_OK)
		s = recover_read_generation(r, highest);
	if (s != STATUS_OK)
		return s;
	new_sources(r);
	s = read_all(r);
	if (s == STATUS_OK)
		s = recover_reach(r);
	free_sources(r);
	return s;
}

/* One recovery of a coupon at a time */

static enum status recover_locked(struct recover *r, int64_t id)
{
	int64_t highest = 0;
	enum status s = look(r, id, &highest);
	if (s == STATUS_OK)
		s = next_generation(r, id, highest);
	FAULT(recover_raised);
	if (s == STATUS_OK)
		s = recover_close(r);
	FAULT(recover_closed);
	if (s == STATUS_OK)
		s = drain_first(r);
	FAULT(recover_drained);
	if (s != STATUS_OK)
		return s;
	new_sources(r);
	s = store(r);
	FAULT(recover_stored);
	if (s == STATUS_OK)
		s = recover_write(r);
	FAULT(recover_restored);
	if (s == STATUS_OK)
		s = recover_open(r);
	FAULT(recover_opened);
	free_sources(r);
	return s;
}

enum status recover_coupon(struct service *svc, struct arena *a, int64_t coupon, bool resell, struct recovery *out)
{
	enum { LOCK_S = 1 };
	struct recover r = { .svc = svc, .arena = a, .resell = resell, .out = out };
	struct db_rows got, released;
	*out = (struct recovery){ 0 };
	struct str name = str_of(arena_printf(a, "seckill.recover.%lld", (long long)coupon));
	if (db_query_row(svc->db, a, "SELECT GET_LOCK(?, ?)", &got, DB_S(name), DB_N(LOCK_S)))
		return failure_of_db(svc->db, "recover");
	if (db_row(&got, 0)->number != 1)
		return STATUS_BUSY;
	redis_wait_up(svc->redis_now);
	enum status s = recover_locked(&r, coupon);
	if (db_query(svc->db, a, "SELECT RELEASE_LOCK(?)", &released, DB_S(name)))
		db_close(svc->db); /* which releases it too */
	return s;
}
