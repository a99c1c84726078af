#include "resale/release.h"

#include "base/clock.h"
#include "drain/lease.h"
#include "host/fault.h"
#include "host/log.h"
#include "lifecycle/ending.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/order_keys.h"
#include "sale/scripts.h"

enum {
	ORDERS_MAX = 500,  /* of one step */
	CALL_MAX = 12,     /* of one call of the script: three words each, and a command has 48 */
	REFUSED_MS = 1000, /* from a walk with a refusal to the next walk */
};

struct returned {
	struct order_number order;
	struct owner owner;
	int64_t generation;
	bool stays;    /* the owner's entry, under a negative number */
	bool archived; /* the sale has no owners any more */
	bool done;
};

struct returned_list {
	struct returned *at;
	int count;
};

/* Orders of one segment, next to each other. */
struct group {
	struct returned *first;
	int count;
};

/*
 * The order of joins and the index are fixed, because the tables grow and shrink by all their rows within seconds, so
 * that estimates of the server may be wrong by as much.
 */
#define RETURNED                                                                                                       \
	"SELECT STRAIGHT_JOIN r.coupon_id, r.segment, r.seq, r.user_id, r.unit, c.generation, "                        \
	"(SELECT COUNT(*) FROM orders o FORCE INDEX (orders_user_claimed) WHERE o.user_id = r.user_id "                \
	"AND o.coupon_id = r.coupon_id AND o.unit = r.unit AND " ENDING_COUNTS "), c.published = 2 "                   \
	"FROM returned_orders r JOIN coupons c ON c.id = r.coupon_id WHERE "

static int read_rows(struct service *svc, struct arena *a, const struct db_rows *rows, struct returned_list *l)
{
	l->at = arena_alloc(a, (size_t)(rows->count + 1) * sizeof *l->at);
	for (l->count = 0; l->count < rows->count; l->count++) {
		const struct db_value *v = db_row(rows, l->count);
		int64_t segment, unit;
		if (db_int(svc->db, &v[1], 0, SEGMENTS_MAX - 1, &segment) ||
		    db_int(svc->db, &v[4], 1, UINT8_MAX, &unit))
			return -1;
		l->at[l->count] = (struct returned){ .order = { v[0].number, v[2].number, (int)segment },
						     .owner = { v[3].number, (int)unit },
						     .generation = v[5].number,
						     .stays = v[6].number >= ENDINGS_MAX,
						     .archived = v[7].number != 0,
						     .done = v[7].number != 0 };
	}
	return 0;
}

/* Redis */

static void on_released(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct group *g = context;
	bool done = end == REDIS_ANSWER && str_eq(redis_text_at(reply, 0), STR("OK"));
	for (int i = 0; i < g->count; i++)
		g->first[i].done = done;
}

static void send_group(struct service *svc, struct group *g)
{
	struct redis_command c;
	const struct order_number *n = &g->first->order;
	redis_script(&c, &script_release, 2);
	key_put(&c, KEY_SEGMENT, n->coupon, n->segment);
	key_put(&c, KEY_OWNERS, n->coupon, n->segment);
	fence_put(&c, g->first->generation);
	for (int i = 0; i < g->count; i++) {
		owner_put(&c, g->first[i].owner);
		redis_put_int(&c, g->first[i].order.sequence);
		redis_put_int(&c, g->first[i].stays);
	}
	redis_send(svc->redis_sync, &c, on_released, g);
}

static bool is_same_segment(const struct returned *one, const struct returned *other)
{
	return one->order.coupon == other->order.coupon && one->order.segment == other->order.segment;
}

static void remove_owners(struct service *svc, struct arena *a, const struct returned_list *l)
{
	struct group *groups = arena_alloc(a, (size_t)(l->count + 1) * sizeof *groups);
	for (int i = 0, n = 0; i < l->count; i += groups[n++].count) {
		struct group *g = &groups[n];
		g->first = &l->at[i];
		while (i + g->count < l->count && g->count < CALL_MAX && is_same_segment(g->first, g->first + g->count))
			g->count++;
		if (!g->first->archived)
			send_group(svc, g);
	}
	redis_wait_all(svc->redis_sync);
	FAULT(release_removed);
}

/* MySQL */

static int delete_released(struct service *svc, struct arena *a, const struct returned_list *l)
{
	struct buf b;
	order_keys_begin(&b, a);
	for (int i = 0; i < l->count; i++) {
		const struct order_number *n = &l->at[i].order;
		if (l->at[i].done)
			order_keys_put(&b, n->coupon, n->segment, n->sequence, 0);
	}
	if (db_exec(svc->db,
		    "DELETE r FROM " ORDER_KEYS "STRAIGHT_JOIN returned_orders r ON r.coupon_id = k.coupon_id "
		    "AND r.segment = k.segment AND r.seq = k.seq",
		    NULL, DB_S(order_keys_end(&b))))
		return -1;
	FAULT(release_deleted);
	return 0;
}

/* 0; -1: MySQL has failed, and the rows are left. */
static int release(struct service *svc, struct arena *a, const struct returned_list *l)
{
	FAULT(release_read);
	remove_owners(svc, a, l);
	return delete_released(svc, a, l);
}

/* Walks */

static int read_next(struct service *svc, struct arena *a, const struct order_number *after, struct returned_list *l)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     RETURNED
		     "(r.coupon_id > ? OR (r.coupon_id = ? AND (r.segment > ? OR (r.segment = ? AND r.seq > ?)))) "
		     "ORDER BY r.coupon_id, r.segment, r.seq LIMIT ?",
		     &rows, DB_N(after->coupon), DB_N(after->coupon), DB_N(after->segment), DB_N(after->segment),
		     DB_N(after->sequence), DB_N(ORDERS_MAX)))
		return -1;
	return read_rows(svc, a, &rows, l);
}

/* A segment that has refused its orders would refuse those behind them, so the walk goes on with the next segment. */
static struct order_number place_behind(const struct returned *last)
{
	struct order_number place = last->order;
	if (!last->done)
		place.sequence = INT64_MAX;
	return place;
}

static bool any_refused(const struct returned_list *l)
{
	for (int i = 0; i < l->count; i++)
		if (!l->at[i].done)
			return true;
	return false;
}

/* The lease of the first coupon keeps drainers from releasing the same orders. 1: released; 0: another has it; -1. */
static int release_leased(struct service *svc, struct arena *a, const struct returned_list *l)
{
	int64_t leased_ms = clock_mono_ms();
	if (!l->count)
		return 1;
	if (!lease_take(svc, a, l->at[0].order.coupon, "release"))
		return 0;
	int failed = release(svc, a, l);
	if (clock_mono_ms() - leased_ms < LEASE_MS)
		lease_release(svc, l->at[0].order.coupon);
	return failed ? -1 : 1;
}

enum step release_step(struct service *svc, struct arena *a, struct release_walk *w)
{
	struct returned_list l;
	if (clock_mono_ms() < w->due_ms)
		return STEP_DONE;
	int released = read_next(svc, a, &w->after, &l) ? -1 : release_leased(svc, a, &l);
	if (released < 0)
		log_warn_limited("release_failed", LOG_TEXT("error", db_error(svc->db)));
	if (released < 1)
		return released < 0 ? STEP_AWAY : STEP_DONE;
	w->refused |= any_refused(&l);
	if (l.count == ORDERS_MAX) {
		w->after = place_behind(&l.at[l.count - 1]);
		return STEP_MORE;
	}
	*w = (struct release_walk){ .due_ms = w->refused ? clock_mono_ms() + REFUSED_MS : 0 };
	return redis_is_up(svc->redis_sync) ? STEP_DONE : STEP_AWAY;
}

void release_order(struct service *svc, struct arena *a, const struct order_number *order)
{
	struct db_rows rows;
	struct returned_list l;
	if (db_query(svc->db, a, RETURNED "r.coupon_id = ? AND r.segment = ? AND r.seq = ?", &rows, DB_N(order->coupon),
		     DB_N(order->segment), DB_N(order->sequence)) ||
	    read_rows(svc, a, &rows, &l) || (l.count && release(svc, a, &l)))
		log_warn_limited("release_failed", LOG_TEXT("error", db_error(svc->db)));
}

void release_limit(struct service *svc, struct arena *a, struct owner owner, const struct order_number *order)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT generation FROM coupons WHERE id = ?", &rows, DB_N(order->coupon)) ||
	    !rows.count)
		return;
	struct returned one = { .order = *order, .owner = owner, .generation = db_row(&rows, 0)->number };
	struct group g = { &one, 1 };
	one.order.sequence = -order->sequence;
	send_group(svc, &g);
	redis_wait_all(svc->redis_sync);
}
