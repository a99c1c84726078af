#include "drain/sweep.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "catalog/supply.h"
#include "sale/fence.h"
#include "sale/worklist.h"

enum {
	STEP_COUPONS = 32,    /* the most coupons of one step */
	STEP_SLOTS = 40,      /* a step at the usual pace ends with the coupon that reaches this number of slots */
	LEAST_SLOTS = 8,      /* a coupon counts as so many at least */
	LOOK_SLOT_MS = 5,     /* the usual pace: from step to step for each slot */
	INSPECT_SLOT_MS = 25, /* from one inspection of a coupon that looks sound to the next */
	ROUND_MS = 5000,      /* from round to round at least */
};

/* A way through all published coupons, again and again. */
struct walk {
	int64_t after;    /* the last coupon; 0: a new round begins */
	int64_t due_ms;   /* when the next step is due */
	int64_t round_ms; /* when this round began */
};

struct sweep {
	struct service *svc;
	sweep_inspect *inspect;
	void *context;
	struct walk looks;       /* at lists and hubs */
	struct walk inspections; /* of coupons that look sound */
	bool hurries;            /* this round of looks goes at full speed while all servers answer */
	bool rushes;             /* it goes at full speed anyway: it is the first one after a server came up */
	bool inspects_all;       /* it inspects every coupon */
	bool is_whole;           /* every coupon of it was looked at with success */
	bool is_settled;         /* no inspection of it must be repeated */
	unsigned changes;        /* redis_changes when it began */
};

/* A coupon of this step: what MySQL has of it, and how its hub compares. */
struct look {
	struct service *svc;
	int64_t coupon, generation;
	int segments;
	struct supply_totals totals;
	bool is_sound;    /* the hub is open, and has the reports of all segments */
	bool is_supplied; /* hub and MySQL have the same units, and the hub has the other totals */
	bool is_away;     /* the hub's server does not answer */
};

struct looks {
	struct look at[STEP_COUPONS];
	struct backlogs backlogs; /* of the same coupons */
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

/* The coupons of a step */

static int read_coupons(const struct sweep *s, struct arena *a, const struct walk *w, int most, struct db_rows *rows)
{
	return db_query(
		s->svc->db, a,
		"SELECT id, segments, generation, amount, cancelled, final, final_cancelled, pay_within_s, withdrawn, "
		"withdraw_missed FROM coupons "
		"WHERE id > ? AND published = 1 ORDER BY id LIMIT ?",
		rows, DB_N(w->after), DB_N(most));
}

/* After a step that ended with this coupon, or 0 at the end of the round. */
static void walk_on(struct walk *w, int64_t coupon, int64_t rest_ms)
{
	w->after = coupon;
	w->due_ms = coupon ? clock_mono_ms() + rest_ms : w->round_ms + ROUND_MS;
}

static int count_slots(const struct backlog *b)
{
	return b->segments + 1 > LEAST_SLOTS ? b->segments + 1 : LEAST_SLOTS;
}

static bool add_coupon(struct sweep *s, const struct db_value *v, struct looks *l)
{
	int64_t segments;
	int i = l->backlogs.count;
	if (db_int(s->svc->db, &v[1], 1, SEGMENTS_MAX, &segments))
		return false;
	l->at[i] = (struct look){ .svc = s->svc,
				  .coupon = v[0].number,
				  .segments = (int)segments,
				  .generation = v[2].number,
				  .totals = { v[3].number, v[4].number, v[5].number, v[6].number, v[7].number > 0,
					      v[8].number, v[9].number } };
	l->backlogs.at[i] = (struct backlog){ .coupon = v[0].number, .segments = (int)segments };
	l->backlogs.count++;
	return true;
}

/* Lists the coupons of this step. If there is none, the round is over. False: MySQL does not answer. */
static bool list_next(struct sweep *s, struct arena *a, struct looks *l)
{
	struct db_rows rows;
	int slots = 0;
	if (read_coupons(s, a, &s->looks, STEP_COUPONS, &rows))
		return false;
	l->backlogs.at = arena_alloc(a, STEP_COUPONS * sizeof *l->backlogs.at);
	for (int i = 0; i < rows.count && (s->hurries || slots < STEP_SLOTS); i++) {
		if (!add_coupon(s, db_row(&rows, i), l))
			return false;
		slots += count_slots(&l->backlogs.at[i]);
	}
	int n = l->backlogs.count;
	walk_on(&s->looks, n ? l->at[n - 1].coupon : 0, (int64_t)LOOK_SLOT_MS * slots);
	return true;
}

/* Hubs */

/* Segments that have not reported to a hub in its present term are marked with 0 in `heard`. */
static bool is_sound(const struct look *l, const struct redis_reply *hub)
{
	char key[KEY_TEXT];
	struct str fence = redis_text_at(hub, 0), heard = redis_text_at(hub, 1);
	struct str incarnation = str_of(redis_incarnation(l->svc->redis_sync, key_text(key, KEY_HUB, l->coupon, 0)));
	return fence_generation(fence) == l->generation && str_eq(fence_incarnation(fence), incarnation) &&
	       !memchr(heard.p, '0', heard.n);
}

static void on_hub(void *context, enum redis_outcome outcome, const struct redis_reply *hub)
{
	struct look *l = context;
	l->is_away = outcome != REDIS_ANSWER && outcome != REDIS_BROKEN;
	if (outcome != REDIS_ANSWER)
		return;
	l->is_sound = is_sound(l, hub);
	if (redis_number_at(hub, 9) > 0) /* the worklist may have been lost */
		worklist_wait(l->svc->redis_sync, l->coupon, l->segments);
	const struct supply_totals at_hub = { redis_number_at(hub, 2), redis_number_at(hub, 3), redis_number_at(hub, 4),
					      redis_number_at(hub, 5), redis_number_at(hub, 6), redis_number_at(hub, 7),
					      redis_number_at(hub, 8) };
	l->is_supplied = supply_knows(&at_hub, &l->totals) && at_hub.amount == l->totals.amount &&
			 at_hub.cancelled == l->totals.cancelled && at_hub.withdrawn == l->totals.withdrawn;
}

static void read_hubs(struct sweep *s, struct looks *l)
{
	static const char *const fields[] = { "fence",           "heard", "amount",    "cancelled", "final",
					      "final_cancelled", "pays",  "withdrawn", "missed",    "queue" };
	for (int i = 0; i < l->backlogs.count; i++) {
		struct redis_command c;
		redis_command(&c, "HMGET");
		key_put(&c, KEY_HUB, l->at[i].coupon, 0);
		for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
			redis_put_text(&c, fields[f]);
		redis_send(s->svc->redis_sync, &c, on_hub, &l->at[i]);
	}
	redis_wait_all(s->svc->redis_sync);
}

static bool inspect_all(struct sweep *s, struct arena *a, const int64_t *coupons, int count)
{
	bool all_there = true;
	enum status results[STEP_COUPONS];
	s->inspect(s->context, a, coupons, count, results);
	for (int i = 0; i < count; i++) {
		s->is_settled &= results[i] != STATUS_BUSY;
		all_there &= results[i] != STATUS_UNAVAILABLE;
	}
	return all_there;
}

static bool inspect_some(struct sweep *s, struct arena *a, const struct looks *l)
{
	int64_t coupons[STEP_COUPONS];
	int count = 0;
	for (int i = 0; i < l->backlogs.count; i++)
		if (s->inspects_all || (!l->at[i].is_sound && !l->at[i].is_away))
			coupons[count++] = l->at[i].coupon;
	return inspect_all(s, a, coupons, count);
}

/*
 * On a single server a segment is hardly ever suspect when its hub is sound: a worker closed it, and could not ask for
 * an inspection. On a cluster the segment has another server than the hub, so that every round inspects all.
 */
static bool inspect_next(struct sweep *s, struct arena *a)
{
	struct walk *w = &s->inspections;
	struct db_rows rows;
	if (s->inspects_all || clock_mono_ms() < w->due_ms)
		return true;
	if (!w->after)
		w->round_ms = clock_mono_ms();
	if (read_coupons(s, a, w, 1, &rows))
		return false;
	const struct db_value *v = db_row(&rows, 0);
	int64_t coupon = rows.count ? v[0].number : 0;
	walk_on(w, coupon, coupon ? INSPECT_SLOT_MS * (v[1].number + 1) : 0);
	return inspect_all(s, a, &coupon, rows.count);
}

/* The opening that supply_redo returns is not needed: workers open the sale. */
static bool supply_some(struct sweep *s, struct arena *a, const struct looks *l)
{
	bool all_there = true;
	struct supply_opening opening;
	for (int i = 0; i < l->backlogs.count && db_failure(s->svc->db) != DB_AWAY; i++) {
		all_there &= !l->at[i].is_away;
		if (!l->at[i].is_supplied && !l->at[i].is_away)
			all_there &= supply_redo(s->svc, a, l->at[i].coupon, &opening) != STATUS_UNAVAILABLE;
	}
	return all_there && db_failure(s->svc->db) != DB_AWAY;
}

/* Steps */

static bool enter_backlogs(struct sweep *s, struct arena *a, struct backlogs *found)
{
	bool all_read = backlogs_find(s->svc, a, found);
	for (int i = 0; i < found->count; i++)
		if (found->at[i].queued)
			backlog_enter(s->svc, &found->at[i]);
	return all_read;
}

static void begin_round(struct sweep *s, bool dirty_lost)
{
	unsigned changes = redis_changes(s->svc->redis_sync);
	s->rushes = changes != s->changes;
	s->hurries = dirty_lost || s->rushes || (s->hurries && !s->is_whole);
	s->inspects_all = s->hurries || !s->is_settled || !redis_is_single(s->svc->redis_sync);
	s->is_whole = s->is_settled = true;
	s->looks.after = 0;
	s->looks.round_ms = clock_mono_ms();
	s->changes = changes;
}

static bool look_at_next(struct sweep *s, struct arena *a, bool dirty_lost, struct backlogs *found)
{
	struct looks l = { 0 };
	bool changed = s->changes != redis_changes(s->svc->redis_sync);
	if (!changed && !dirty_lost && clock_mono_ms() < s->looks.due_ms)
		return true;
	if (changed || !s->looks.after)
		begin_round(s, dirty_lost);
	s->looks.due_ms = clock_mono_ms() + (int64_t)LOOK_SLOT_MS * STEP_SLOTS;
	bool listed = list_next(s, a, &l);
	bool all_read = enter_backlogs(s, a, &l.backlogs);
	read_hubs(s, &l);
	bool all_there = inspect_some(s, a, &l) && listed;
	all_there &= supply_some(s, a, &l);
	if ((s->hurries && all_there) || s->rushes || dirty_lost)
		s->looks.due_ms = 0;
	s->is_whole &= all_there;
	*found = l.backlogs;
	return all_there && all_read;
}

bool sweep_step(struct sweep *s, struct arena *a, bool dirty_lost, struct backlogs *found)
{
	*found = (struct backlogs){ 0 };
	bool looked = look_at_next(s, a, dirty_lost, found);
	return inspect_next(s, a) && looked;
}

bool sweep_rushes(const struct sweep *s)
{
	return s->rushes && s->looks.after;
}
