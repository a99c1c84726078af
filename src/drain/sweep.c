#include "drain/sweep.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "catalog/supply.h"
#include "sale/coupon.h"

/* Limits of one step, in coupons and in slots (hubs and segments), and the time from step to step for each slot. */
enum { STEP_COUPONS = 32, STEP_SLOTS = 40, SLOT_MS = 5 };

struct sweep {
	struct service *svc;
	sweep_inspect *inspect;
	void *context;
	int64_t due_ms;   /* when the next step is due */
	int64_t after;    /* the last coupon of the last step; 0: a new round begins */
	bool hurries;     /* this round goes at full speed while all servers answer */
	bool rushes;      /* this round goes at full speed anyway: it is the first one after a server came up */
	bool is_whole;    /* every coupon of this round was looked at with success */
	unsigned changes; /* redis_changes when this round began */
};

struct sweep *sweep_new(struct service *svc, sweep_inspect *inspect, void *context)
{
	struct sweep *s = alloc_zeroed(1, sizeof *s);
	*s = (struct sweep){ .svc = svc, .inspect = inspect, .context = context, .hurries = true };
	return s;
}

void sweep_free(struct sweep *s)
{
	free(s);
}

static int read_coupons(struct sweep *s, struct arena *a, struct db_rows *rows)
{
	return db_query(s->svc->db, a,
			"SELECT id, segments FROM coupons WHERE id > ? AND published = 1 ORDER BY id LIMIT ?", rows,
			DB_N(s->after), DB_N(STEP_COUPONS));
}

/* Lists the coupons of this step. If there is none, the round is over. False: MySQL does not answer. */
static bool list_next(struct sweep *s, struct arena *a, struct backlogs *next)
{
	struct db_rows rows;
	int slots = 0;
	if (read_coupons(s, a, &rows))
		return false;
	next->at = arena_alloc(a, (size_t)(rows.count + 1) * sizeof *next->at);
	while (next->count < rows.count && (s->hurries || slots < STEP_SLOTS)) {
		const struct db_value *v = db_row(&rows, next->count);
		int64_t segments;
		if (db_int(s->svc->db, &v[1], 1, SEGMENTS_MAX, &segments))
			return false;
		slots += (int)segments + 1;
		next->at[next->count++] = (struct backlog){ .coupon = v[0].number, .segments = (int)segments };
	}
	if (slots > STEP_SLOTS)
		s->due_ms += (int64_t)SLOT_MS * (slots - STEP_SLOTS);
	s->after = next->count ? next->at[next->count - 1].coupon : 0;
	return true;
}

/* The opening that supply_redo returns is not needed: workers open the sale. */
static bool inspect_and_supply(struct sweep *s, struct arena *a, const struct backlogs *next)
{
	bool all_there = true;
	struct supply_opening opening;
	int64_t *coupons = arena_alloc(a, (size_t)(next->count + 1) * sizeof *coupons);
	enum status *results = arena_alloc(a, (size_t)(next->count + 1) * sizeof *results);
	for (int i = 0; i < next->count; i++)
		coupons[i] = next->at[i].coupon;
	s->inspect(s->context, a, coupons, next->count, results);
	for (int i = 0; i < next->count && db_failure(s->svc->db) != DB_AWAY; i++) {
		s->is_whole &= results[i] != STATUS_BUSY;
		all_there &= results[i] != STATUS_UNAVAILABLE;
		all_there &= supply_redo(s->svc, a, coupons[i], &opening) != STATUS_UNAVAILABLE;
	}
	return all_there && db_failure(s->svc->db) != DB_AWAY;
}

static bool enter_backlogs(struct sweep *s, struct arena *a, struct backlogs *next)
{
	bool measured = backlogs_measure(s->svc, a, next);
	for (int i = 0; i < next->count; i++)
		if (next->at[i].queued)
			backlog_enter(s->svc, &next->at[i]);
	return measured;
}

static void begin_round(struct sweep *s, bool dirty_lost)
{
	unsigned changes = redis_changes(s->svc->redis_sync);
	s->rushes = changes != s->changes;
	s->hurries = dirty_lost || s->rushes || (s->hurries && !s->is_whole);
	s->is_whole = true;
	s->after = 0;
	s->changes = changes;
}

bool sweep_step(struct sweep *s, struct arena *a, bool dirty_lost, struct backlogs *found)
{
	int64_t now_ms = clock_mono_ms();
	bool changed = s->changes != redis_changes(s->svc->redis_sync);
	*found = (struct backlogs){ 0 };
	if (!changed && now_ms < s->due_ms)
		return true;
	if (changed || !s->after)
		begin_round(s, dirty_lost);
	s->due_ms = now_ms + (int64_t)SLOT_MS * STEP_SLOTS;
	bool listed = list_next(s, a, found);
	bool measured = enter_backlogs(s, a, found);
	bool all_there = inspect_and_supply(s, a, found) && listed;
	if ((s->hurries && all_there) || s->rushes || dirty_lost)
		s->due_ms = now_ms;
	s->is_whole &= all_there;
	return all_there && measured;
}

bool sweep_rushes(const struct sweep *s)
{
	return s->rushes && s->after;
}
