/*
 * The order of a recovery:
 *
 *   look     read everything that `store` will read, and check that every server answers; nothing is changed
 *   raise    give the coupon a new generation
 *   close    close every slot under the new generation: from now on scripts of the old generation change nothing
 *   end      if MySQL is older than the hub, end orders again that were over
 *   drain    move the orders that wait on the lists into MySQL, as drainers do
 *   store    in one transaction, with the cursors locked: read the evidence, insert what MySQL lacks
 *   rewrite  write all slots from what MySQL has now
 *   open     open all slots, and remove the coupon from the worklists
 *
 * After a recovery that died the coupon is closed. The next recovery begins with `look`, and finds in MySQL what the
 * first has inserted. A recovery that is suspended while another one runs writes nothing more when it continues,
 * because every step compares the generation.
 */
#include "recover/recover.h"

#include "catalog/abandoned.h"
#include "catalog/coupon_row.h"
#include "catalog/supply.h"
#include "drain/move.h"
#include "host/fault.h"
#include "host/log.h"
#include "recover/recovery.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "catalog/settings.h"
#include "stock/acknowledged.h"

/*
 * Above either bound the recovery stops. A corrupt, huge number must not push the next base so high that no numbers are
 * left, nor make millions of dead letters.
 */
enum { MOST_MISSING = 20000000 };
#define HIGHEST_NUMBER (NUMBER_MAX / 2)

/* The coupon */

/*
 * For a coupon that MySQL has as not published. If Redis shows that it was published, MySQL was restored from a backup
 * that is older than the publication.
 */
static enum status publish_again(struct recovery *r)
{
	enum status s = abandoned_look(r->svc, r->coupon.id, r->coupon.segments);
	bool was_published = s == STATUS_FENCED;
	if (!was_published)
		return s == STATUS_OK ? STATUS_NO_SUCH_COUPON : s;
	if (db_exec(r->svc->db, "UPDATE coupons SET published = 1 WHERE id = ?", NULL, DB_N(r->coupon.id)))
		return db_status(r->svc->db, "recover");
	return STATUS_OK;
}

static enum status read_coupon(struct recovery *r, int64_t id)
{
	struct db_rows rows;
	bool published;
	if (db_query(r->svc->db, r->arena,
		     "SELECT " COUPON_COLUMNS " FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(id)))
		return db_status(r->svc->db, "recover");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (coupon_row_read(r->svc->db, &r->coupon, db_row(&rows, 0), &published))
		return db_status(r->svc->db, "recover");
	if (coupon_row_is_archived(db_row(&rows, 0)))
		return STATUS_NO_SUCH_COUPON;
	return published ? STATUS_OK : publish_again(r);
}

/*
 * The new generation is above that of every slot, too: MySQL may have been restored from a backup that is older than an
 * earlier recovery, and scripts of that recovery's generation must not change anything.
 */
static enum status raise_generation(struct recovery *r, int64_t highest)
{
	int64_t changed = 0, before = r->coupon.generation, next = (highest > before ? highest : before) + 1;
	if (db_exec(r->svc->db, "UPDATE coupons SET generation = ? WHERE id = ? AND generation = ?", &changed,
		    DB_N(next), DB_N(r->coupon.id), DB_N(before)))
		return db_status(r->svc->db, "recover");
	if (!changed)
		return STATUS_BUSY;
	r->coupon.generation = r->out->generation = next;
	r->closed_fence = fence_text(arena_alloc(r->arena, KEY_TEXT), next, FENCE_RECOVERING);
	r->written_fence = fence_text(arena_alloc(r->arena, KEY_TEXT), next, FENCE_RECOVERED);
	return STATUS_OK;
}

/*
 * The drain inserts many rows at once; the recovery inserts each order by itself. If the hub still knows of more orders
 * that are over than MySQL, a drainer would not decide which orders get a unit, and the recovery does.
 */
static enum status drain_first(struct recovery *r)
{
	struct arena a = { 0 };
	struct batch b;
	int moved, tries = 3; /* the first may fail because a drainer works on this coupon */
	bool is_older;
	enum status s = supply_check_mysql(r->svc, r->arena, r->coupon.id, &is_older);
	if (s != STATUS_OK || is_older)
		return s;
	do {
		arena_reset(&a);
		batch_init(&b, r->svc, &a, r->coupon.id, r->coupon.segments);
		moved = batch_move(&b);
		moved = b.away ? -1 : moved;
	} while (moved > 0 || (moved < 0 && --tries));
	arena_release(&a);
	return moved < 0 ? STATUS_UNAVAILABLE : STATUS_OK;
}

/* Evidence */

static void alloc_segments(struct recovery *r)
{
	r->evidence = arena_alloc(r->arena, (size_t)r->coupon.segments * sizeof *r->evidence);
	r->segments = arena_alloc(r->arena, (size_t)r->coupon.segments * sizeof *r->segments);
}

static void release_evidence(struct recovery *r)
{
	for (int i = 0; i < r->coupon.segments; i++)
		evidence_release(&r->evidence[i]);
}

static enum status read_segment(struct recovery *r, int i)
{
	struct evidence *e = &r->evidence[i];
	evidence_init(e, i);
	enum status s = evidence_read_mysql(r->svc, &r->coupon, e);
	evidence_note_range(e, (struct evidence_range){ .base = r->hub.shares[i].base });
	if (s == STATUS_OK)
		s = evidence_read_redis(r->svc, &r->coupon, e);
	evidence_note_number(e, acknowledged_read(r->svc, r->coupon.id, i));
	return s;
}

static bool is_implausible(const struct evidence *e, int64_t missing)
{
	return e->last > HIGHEST_NUMBER || e->base > HIGHEST_NUMBER || missing > MOST_MISSING;
}

static enum status count_missing(struct recovery *r, int64_t *missing)
{
	*missing = 0;
	for (int i = 0; i < r->coupon.segments; i++) {
		const struct evidence *e = &r->evidence[i];
		int64_t count = evidence_count_missing(e);
		*missing += count;
		if (!is_implausible(e, count))
			continue;
		log_error("recover_implausible", LOG_INT("coupon", r->coupon.id), LOG_INT("segment", i),
			  LOG_INT("sequence", e->last > e->base ? e->last : e->base), LOG_INT("missing", count));
		return STATUS_INTERNAL;
	}
	return STATUS_OK;
}

/*
 * Customers have lists on a cluster only, where a list may name an order that its segment lost. Reading them takes
 * long. They are read if the other sources lack orders, and then all servers must answer; and if `thoroughly`: unless
 * orders are missing, the lists of a server that is unreachable are then left out.
 */
static enum status read_customers(struct recovery *r, bool thoroughly)
{
	int64_t missing;
	enum status s = count_missing(r, &missing);
	if (s != STATUS_OK || redis_is_single(r->svc->redis_sync) || !(missing || thoroughly))
		return s;
	s = evidence_read_customers(r->svc, &r->coupon, r->evidence);
	return missing && s != STATUS_OK ? s : count_missing(r, &missing);
}

static enum status read_evidence(struct recovery *r, bool thoroughly)
{
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++)
		s = read_segment(r, i);
	if (s == STATUS_OK)
		s = read_customers(r, thoroughly);
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++) {
		evidence_merge(&r->evidence[i], r->coupon.limit);
		s = evidence_read_times(r->svc, &r->coupon, &r->evidence[i]);
	}
	return s;
}

/* MySQL */

/* Locks the cursors, so that no drainer commits orders of this coupon before the transaction ends. */
static int begin_locked(struct recovery *r)
{
	int segments = r->coupon.segments;
	struct cursor *cursors = arena_alloc(r->arena, (size_t)segments * sizeof *cursors);
	return db_begin_long(r->svc->db) || cursors_lock(r->svc, r->arena, r->coupon.id, segments, cursors) ||
	       supply_raise(r->svc, r->coupon.id, r->hub.amount);
}

/* Totals of units put on sale and withdrawn only grow: of MySQL's and the hub's, the higher is right. */
static int read_units(struct recovery *r, const struct db_value *v)
{
	r->coupon.amount = v[0].number;
	r->withdrawn = v[2].number;
	if (r->hub.withdrawn > r->withdrawn) {
		r->withdrawn = r->hub.withdrawn;
		if (db_exec(r->svc->db, "UPDATE coupons SET withdrawn = ? WHERE id = ?", NULL, DB_N(r->withdrawn),
			    DB_N(r->coupon.id)))
			return -1;
	}
	r->missed = v[3].number > r->hub.missed ? v[3].number : r->hub.missed;
	r->room = r->coupon.amount - r->withdrawn - v[1].number;
	return 0;
}

/* The highest version that MySQL or a slot has is right (inspect/hand_out.c); the slots are written with it. */
static enum status find_steering(struct recovery *r)
{
	int64_t in_mysql = r->steering.version;
	steering_raise(&r->steering, &r->hub.steering);
	for (int i = 0; i < r->coupon.segments; i++)
		steering_raise(&r->steering, &r->evidence[i].steering);
	r->coupon.version = r->steering.version;
	r->coupon.starts_ms = r->steering.starts_ms;
	r->coupon.ends_ms = r->steering.ends_ms;
	return r->steering.version > in_mysql ? settings_raise(r->svc, r->coupon.id, &r->steering) : STATUS_OK;
}

static int read_steering(struct recovery *r, const struct db_value *v)
{
	int64_t state;
	if (db_int(r->svc->db, &v[1], 0, SALE_STATES - 1, &state))
		return -1;
	r->steering = (struct steering){ v[0].number, (enum sale_state)state, v[2].number, v[3].number };
	return 0;
}

/* STATUS_BUSY: this recovery lost its connection to MySQL, and so its lock, and another recovery has taken over. */
static enum status lock_coupon(struct recovery *r)
{
	struct db_rows coupon;
	enum status s = recovery_read_hub(r);
	if (s != STATUS_OK)
		return s;
	if (begin_locked(r) ||
	    db_query(r->svc->db, r->arena,
		     "SELECT amount, sold, withdrawn, withdraw_missed, state_version, state, starts_at_ms, ends_at_ms "
		     "FROM coupons WHERE id = ? AND generation = ? FOR UPDATE",
		     &coupon, DB_N(r->coupon.id), DB_N(r->coupon.generation)))
		return db_status(r->svc->db, "recover");
	if (!coupon.count)
		return STATUS_BUSY;
	const struct db_value *v = db_row(&coupon, 0);
	return read_steering(r, v + 4) || read_units(r, v) ? db_status(r->svc->db, "recover") : STATUS_OK;
}

static enum status store(struct recovery *r)
{
	enum status s = lock_coupon(r);
	if (s == STATUS_OK)
		s = read_evidence(r, true);
	if (s == STATUS_OK)
		s = find_steering(r);
	if (s == STATUS_OK && (recovery_insert(r) || db_commit(r->svc->db)))
		s = db_status(r->svc->db, "recover");
	if (s != STATUS_OK)
		db_rollback(r->svc->db);
	return s;
}

/* The steps */

static enum status look(struct recovery *r, int64_t id, int64_t *highest)
{
	enum status s = read_coupon(r, id);
	if (s == STATUS_OK && r->options->generation && r->options->generation != r->coupon.generation)
		s = STATUS_BUSY;
	if (s == STATUS_OK)
		s = recovery_upgrade(r, highest);
	if (s == STATUS_OK)
		s = recovery_read_hub(r);
	if (s != STATUS_OK)
		return s;
	alloc_segments(r);
	s = read_evidence(r, false);
	if (s == STATUS_OK)
		s = recovery_check_servers(r);
	release_evidence(r);
	return s;
}

static enum status close_coupon(struct recovery *r, int64_t id)
{
	int64_t highest = 0;
	enum status s = look(r, id, &highest);
	if (s == STATUS_OK)
		s = raise_generation(r, highest);
	FAULT(recover_raised);
	if (s == STATUS_OK)
		s = recovery_close(r);
	FAULT(recover_closed);
	if (s == STATUS_OK)
		s = recovery_end_orders(r);
	if (s == STATUS_OK)
		s = drain_first(r);
	FAULT(recover_drained);
	return s;
}

static enum status recover_locked(struct recovery *r, int64_t id)
{
	enum status s = close_coupon(r, id);
	if (s != STATUS_OK)
		return s;
	alloc_segments(r);
	s = store(r);
	FAULT(recover_stored);
	if (s == STATUS_OK)
		s = recovery_rewrite(r);
	FAULT(recover_rewritten);
	if (s == STATUS_OK)
		s = recovery_open(r);
	FAULT(recover_opened);
	release_evidence(r);
	return s;
}

/* A lock in MySQL: of all hosts only one recovers a coupon at a time. */

static struct str lock_name(struct arena *a, int64_t coupon)
{
	return str_of(arena_printf(a, "seckill.recover.%lld", (long long)coupon));
}

bool recover_has_begun(struct service *svc, struct arena *a, int64_t coupon, int64_t generation)
{
	struct db_rows rows;
	return db_query(svc->db, a, "SELECT IS_USED_LOCK(?) IS NOT NULL OR generation <> ? FROM coupons WHERE id = ?",
			&rows, DB_S(lock_name(a, coupon)), DB_N(generation), DB_N(coupon)) == 0 &&
	       rows.count && db_row(&rows, 0)->number;
}

enum status recover_coupon(struct service *svc, struct arena *a, int64_t coupon, const struct recovery_options *options,
			   struct recovery_result *out)
{
	enum { LOCK_S = 1 };
	struct recovery r = { .svc = svc, .arena = a, .options = options, .out = out };
	bool got;
	*out = (struct recovery_result){ 0 };
	struct str name = lock_name(a, coupon);
	if (db_lock(svc->db, a, name, LOCK_S, &got))
		return db_status(svc->db, "recover");
	if (!got)
		return STATUS_BUSY;
	redis_wait_up(svc->redis_sync);
	enum status s = recover_locked(&r, coupon);
	db_unlock(svc->db, a, name);
	return s;
}
