#include "recover/recover.h"

#include "catalog/abandoned.h"
#include "catalog/publish.h"
#include "catalog/supply.h"
#include "drain/batch.h"
#include "host/fault.h"
#include "host/log.h"
#include "recover/recover_part.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "stock/acknowledged.h"

/* More orders of a segment were never lost; and one number that is out of all bounds must not use up all others. */
enum { MOST_MISSING = 20000000 };
#define HIGHEST_NUMBER (NUMBER_MAX / 2)

/* A MySQL that is older than the last step of a creation does not know that the sale was published; Redis does. */
static enum status publish_again(struct recover *r)
{
	enum status s = abandoned_look(r->svc, r->coupon.id, r->coupon.segments);
	if (s != STATUS_FENCED)
		return s == STATUS_OK ? STATUS_NO_SUCH_COUPON : s;
	if (db_exec(r->svc->db, "UPDATE coupons SET published = 1 WHERE id = ?", NULL, DB_N(r->coupon.id)))
		return db_status(r->svc->db, "recover");
	return STATUS_OK;
}

static enum status read_coupon(struct recover *r, int64_t id)
{
	struct db_rows rows;
	bool published;
	if (db_query(r->svc->db, r->arena,
		     "SELECT " PUBLISH_COLUMNS " FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(id)))
		return db_status(r->svc->db, "recover");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (publish_row(r->svc->db, &r->coupon, db_row(&rows, 0), &published))
		return db_status(r->svc->db, "recover");
	return published ? STATUS_OK : publish_again(r);
}

/* Above the slots' own, too: MySQL may be older than an earlier recovery, and scripts of that must not be executed. */
static enum status next_generation(struct recover *r, int64_t id, int64_t highest)
{
	int64_t changed = 0, before = r->coupon.generation, next = (highest > before ? highest : before) + 1;
	if (db_exec(r->svc->db, "UPDATE coupons SET generation = ? WHERE id = ? AND generation = ?", &changed,
		    DB_N(next), DB_N(id), DB_N(before)))
		return db_status(r->svc->db, "recover");
	if (!changed)
		return STATUS_BUSY;
	r->coupon.generation = r->out->generation = next;
	r->closed = fence_text(arena_alloc(r->arena, KEY_TEXT), next, FENCE_RECOVERING);
	r->written = fence_text(arena_alloc(r->arena, KEY_TEXT), next, FENCE_RECOVERED);
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
 * Units put on sale, withdrawn and given back are totals that only grow: the higher of MySQL's and the hub's is right.
 * STATUS_BUSY: a later recovery has taken over, while this one stood still and lost its connection, and so its lock.
 */
static enum status lock(struct recover *r)
{
	struct db_rows cursors, coupon;
	int64_t amount = 0, cancelled = 0;
	enum status s = supply_read_hub(r->svc, r->arena, r->coupon.id, &amount, &cancelled);
	if (s == STATUS_OK)
		s = recover_read_hub(r);
	if (s != STATUS_OK)
		return s;
	if (db_begin_long(r->svc->db) ||
	    db_query(r->svc->db, r->arena, "SELECT segment FROM drain_cursors WHERE coupon_id = ? FOR UPDATE", &cursors,
		     DB_N(r->coupon.id)) ||
	    supply_raise(r->svc, r->coupon.id, amount, cancelled) ||
	    db_query(
		    r->svc->db, r->arena,
		    "SELECT amount, sold, cancelled, withdrawn FROM coupons WHERE id = ? AND generation = ? FOR UPDATE",
		    &coupon, DB_N(r->coupon.id), DB_N(r->coupon.generation)))
		return db_status(r->svc->db, "recover");
	if (!coupon.count)
		return STATUS_BUSY;
	const struct db_value *v = db_row(&coupon, 0);
	r->coupon.amount = v[0].number;
	r->cancelled = v[2].number;
	r->withdrawn = v[3].number;
	if (r->hub.withdrawn > r->withdrawn) {
		r->withdrawn = r->hub.withdrawn;
		if (db_exec(r->svc->db, "UPDATE coupons SET withdrawn = ? WHERE id = ?", NULL, DB_N(r->withdrawn),
			    DB_N(r->coupon.id)))
			return db_status(r->svc->db, "recover");
	}
	r->room = r->coupon.amount - r->withdrawn - v[1].number;
	return STATUS_OK;
}

static enum status read_segment(struct recover *r, int i)
{
	struct evidence *s = &r->sources[i];
	evidence_init(s, i);
	enum status status = evidence_read_mysql(r->svc, &r->coupon, s);
	evidence_see_range(s, (struct evidence_range){ .base = r->hub.bases[i] });
	if (status == STATUS_OK)
		status = evidence_read_redis(r->svc, &r->coupon, s);
	evidence_see(s, acknowledged_read(r->svc, r->coupon.id, i));
	return status;
}

static bool is_absurd(const struct evidence *s, int64_t missing)
{
	return s->last > HIGHEST_NUMBER || s->base > HIGHEST_NUMBER || missing > MOST_MISSING;
}

static enum status count_missing(struct recover *r, int64_t *missing)
{
	*missing = 0;
	for (int i = 0; i < r->coupon.segments; i++) {
		const struct evidence *s = &r->sources[i];
		int64_t count = evidence_missing(s);
		*missing += count;
		if (!is_absurd(s, count))
			continue;
		log_error("recover_absurd_sequence", LOG_INT("coupon", r->coupon.id), LOG_INT("segment", i),
			  LOG_INT("sequence", s->last > s->base ? s->last : s->base));
		return STATUS_INTERNAL;
	}
	return STATUS_OK;
}

/*
 * The customers' lists are asked when orders are missing without them: it takes a look at every customer. On a cluster
 * they may know more than a segment that went back in time, though nothing is missing there; but then no server is
 * waited for.
 */
static enum status read_all(struct recover *r, bool thoroughly)
{
	int64_t missing = 0;
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++)
		s = read_segment(r, i);
	if (s == STATUS_OK)
		s = count_missing(r, &missing);
	if (s == STATUS_OK && (missing || (thoroughly && !redis_is_single(r->svc->redis_sync)))) {
		enum status index = evidence_read_index(r->svc, &r->coupon, r->sources);
		s = missing && index != STATUS_OK ? index : count_missing(r, &missing);
	}
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++) {
		evidence_merge(&r->sources[i]);
		s = evidence_read_times(r->svc, &r->coupon, &r->sources[i]);
	}
	return s;
}

static enum status store(struct recover *r)
{
	enum status s = lock(r);
	if (s == STATUS_OK)
		s = read_all(r, true);
	if (s == STATUS_OK && (recover_insert(r) || db_commit(r->svc->db)))
		s = db_status(r->svc->db, "recover");
	if (s != STATUS_OK)
		db_rollback(r->svc->db);
	return s;
}

static void new_sources(struct recover *r)
{
	r->sources = arena_alloc(r->arena, (size_t)r->coupon.segments * sizeof *r->sources);
	r->shares = arena_alloc(r->arena, (size_t)r->coupon.segments * sizeof *r->shares);
}

static void free_sources(struct recover *r)
{
	for (int i = 0; i < r->coupon.segments; i++)
		evidence_free(&r->sources[i]);
}

/*
 * All is read as it will be read once the slots are closed, and every server that will be written to must be there: one
 * that is away is noticed before anything is changed.
 */
static enum status look(struct recover *r, int64_t id, int64_t *highest)
{
	enum status s = read_coupon(r, id);
	if (s == STATUS_OK)
		s = recover_upgrade(r, highest);
	if (s == STATUS_OK)
		s = recover_read_hub(r);
	if (s != STATUS_OK)
		return s;
	new_sources(r);
	s = read_all(r, false);
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

static struct str lock_name(struct arena *a, int64_t coupon)
{
	return str_of(arena_printf(a, "seckill.recover.%lld", (long long)coupon));
}

bool recover_is_running(struct service *svc, struct arena *a, int64_t coupon)
{
	struct db_rows rows;
	return db_query_row(svc->db, a, "SELECT IS_USED_LOCK(?) IS NOT NULL", &rows, DB_S(lock_name(a, coupon))) == 0 &&
	       db_row(&rows, 0)->number;
}

enum status recover_coupon(struct service *svc, struct arena *a, int64_t coupon, bool resell, struct recovery *out)
{
	enum { LOCK_S = 1 };
	struct recover r = { .svc = svc, .arena = a, .resell = resell, .out = out };
	struct db_rows got, released;
	*out = (struct recovery){ 0 };
	struct str name = lock_name(a, coupon);
	if (db_query_row(svc->db, a, "SELECT GET_LOCK(?, ?)", &got, DB_S(name), DB_N(LOCK_S)))
		return db_status(svc->db, "recover");
	if (db_row(&got, 0)->number != 1)
		return STATUS_BUSY;
	redis_wait_up(svc->redis_sync);
	enum status s = recover_locked(&r, coupon);
	if (db_query(svc->db, a, "SELECT RELEASE_LOCK(?)", &released, DB_S(name)))
		db_close(svc->db); /* which releases it too */
	return s;
}
