#include "bin/housekeeping.h"

#include <stdlib.h>

#include "account/request_key.h"
#include "account/revocation_sync.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "catalog/abandoned.h"
#include "drain/acknowledged_sweep.h"
#include "drain/drain.h"
#include "drain/sweep.h"
#include "inspect/inspect.h"
#include "order/dead_letter.h"
#include "order/lost.h"
#include "resale/gauges.h"
#include "resale/work.h"
#include "steer/steer.h"
#include "store/layout.h"
#include "store/retired.h"
#include "store/rights.h"
#include "waiting/promote.h"

/* The longest rests: without work; and while a server does not answer, whose return is noticed within AWAY_MAX_MS. */
enum { IDLE_MAX_MS = 100, AWAY_MAX_MS = 500 };

enum job_result {
	JOB_DONE,     /* the job has nothing to do until it is due again */
	JOB_CONTINUE, /* the job is due in the next turn */
	JOB_RUSH,     /* as JOB_CONTINUE, and the next turn begins at once */
	JOB_AWAY,     /* as JOB_DONE, but a server that the job needs does not answer */
};

struct job {
	enum job_result (*step)(struct housekeeping *h, struct arena *a);
	int every_ms; /* 0: due in every turn */
};

enum { JOBS = 13 };

struct housekeeping {
	struct service *svc;
	struct inspector *inspector;
	struct sweep *sweep;
	struct drain *drain;
	struct work *work;
	struct promoting *promoting;
	struct steering_work *steering;
	struct acknowledged_sweep *acknowledged;
	struct revocation_sync *revocations;
	int64_t due_ms[JOBS]; /* when each job is due */
	bool layout_recorded;
	unsigned layout_changes; /* redis_changes when the layout was recorded */
	struct retired retired;
	int64_t abandoned_from;
	struct backlogs swept; /* coupons that the sweep found in this turn */
	bool all_there;        /* every job of this turn has reached all servers */
	bool rush;             /* a job of this turn wants the next turn at once */
	int moved;             /* what the last drain_pass returned: orders, or -1 */
	bool may_write;        /* this account has its rights, and no pass has failed since they were checked */
	int rest_ms;           /* the rest after the last turn */
};

/* The layout again whenever a server has another incarnation, because it may have earlier data. */
static enum job_result bring_up_to_date(struct housekeeping *h, struct arena *a)
{
	unsigned changes = redis_changes(h->svc->redis_sync);
	if (!h->layout_recorded || changes != h->layout_changes)
		h->layout_recorded = layout_record(h->svc, a);
	h->layout_changes = changes;
	retired_remove(h->svc, a, &h->retired);
	return JOB_DONE;
}

static enum job_result inspect_some(struct housekeeping *h, struct arena *a)
{
	return inspect_suspects(h->inspector, a) ? JOB_DONE : JOB_AWAY;
}

static enum job_result look_for_lost(struct housekeeping *h, struct arena *a)
{
	return lost_decide_some(h->svc, a) ? JOB_DONE : JOB_AWAY;
}

static enum job_result sweep_some(struct housekeeping *h, struct arena *a)
{
	return sweep_step(h->sweep, a, drain_lost_dirty(h->drain), &h->swept) ? JOB_DONE : JOB_AWAY;
}

/* If MySQL does not answer, the stats keep the last numbers; other gauges show the outage. */
static enum job_result set_gauges(struct housekeeping *h, struct arena *a)
{
	int64_t count;
	gauges_set(h->svc, a);
	if (dead_letter_count(h->svc, a, &count) == STATUS_OK)
		stats_set(h->svc->stats, COUNT_dead_letters_open, (uint64_t)count);
	return JOB_DONE;
}

static enum job_result remove_abandoned(struct housekeeping *h, struct arena *a)
{
	if (abandoned_remove(h->svc, a, &h->abandoned_from) == STATUS_UNAVAILABLE)
		return JOB_AWAY;
	return h->abandoned_from ? JOB_CONTINUE : JOB_DONE;
}

static enum job_result expire_keys(struct housekeeping *h, struct arena *a)
{
	(void)a;
	bool more;
	if (request_key_expire(h->svc, &more) == STATUS_UNAVAILABLE)
		return JOB_AWAY;
	return more ? JOB_CONTINUE : JOB_DONE;
}

static bool is_full(const struct conf *conf, int moved)
{
	return moved > 0 && moved >= conf->drain_batch / 2;
}

static enum job_result end_orders(struct housekeeping *h, struct arena *a)
{
	static const enum job_result results[] = {
		[STEP_DONE] = JOB_DONE, [STEP_MORE] = JOB_RUSH, [STEP_AWAY] = JOB_AWAY
	};
	bool orders_wait = is_full(h->svc->conf, h->moved) || drain_was_cut_short(h->drain);
	return results[work_step(h->work, a, orders_wait)];
}

static enum job_result promote_some(struct housekeeping *h, struct arena *a)
{
	static const enum job_result results[] = {
		[PROMOTE_DONE] = JOB_DONE, [PROMOTE_MORE] = JOB_RUSH, [PROMOTE_AWAY] = JOB_AWAY
	};
	return results[promote_step(h->promoting, a)];
}

static enum job_result steer_sales(struct housekeeping *h, struct arena *a)
{
	static const enum job_result results[] = {
		[STEER_DONE] = JOB_DONE, [STEER_MORE] = JOB_RUSH, [STEER_AWAY] = JOB_AWAY
	};
	return results[steer_step(h->steering, a)];
}

static enum job_result drain_some(struct housekeeping *h, struct arena *a)
{
	h->moved = drain_pass(h->drain, a, &h->swept, h->all_there);
	return sweep_rushes(h->sweep) || drain_was_cut_short(h->drain) ? JOB_RUSH : JOB_DONE;
}

static enum job_result sync_revocations(struct housekeeping *h, struct arena *a)
{
	(void)a;
	return revocation_sync_step(h->revocations) ? JOB_RUSH : JOB_DONE;
}

static enum job_result sweep_acknowledged(struct housekeeping *h, struct arena *a)
{
	(void)a;
	return acknowledged_sweep_step(h->acknowledged) ? JOB_RUSH : JOB_DONE;
}

/*
 * The order matters: slots are opened before their orders are drained, the sweep finds coupons for the drain, and hubs
 * are told of units that come back before these are promoted.
 */
static const struct job jobs[] = {
	{ bring_up_to_date, 0 },     /* store */
	{ inspect_some, 0 },         /* inspect */
	{ look_for_lost, 0 },        /* order */
	{ sweep_some, 0 },           /* drain */
	{ set_gauges, 5000 },        /* order, resale */
	{ remove_abandoned, 60000 }, /* catalog */
	{ expire_keys, 60000 },      /* account */
	{ end_orders, 0 },           /* resale */
	{ promote_some, 0 },         /* waiting */
	{ steer_sales, 100 },        /* steer */
	{ drain_some, 0 },           /* drain */
	{ sync_revocations, 0 },     /* account */
	{ sweep_acknowledged, 0 },   /* order */
};
_Static_assert(sizeof jobs / sizeof jobs[0] == JOBS, "a due time for each job");

static void inspect_swept(void *context, struct arena *a, const int64_t *coupons, int count, enum status *results)
{
	inspect_coupons(context, a, coupons, count, results);
}

struct housekeeping *housekeeping_new(struct service *svc)
{
	struct housekeeping *h = alloc_zeroed(1, sizeof *h);
	h->svc = svc;
	h->inspector = inspector_new(svc);
	h->sweep = sweep_new(svc, inspect_swept, h->inspector);
	h->drain = drain_new(svc);
	h->work = work_new(svc);
	h->promoting = promoting_new(svc);
	h->steering = steering_work_new(svc);
	h->acknowledged = acknowledged_sweep_new(svc);
	h->revocations = revocation_sync_new(svc);
	return h;
}

void housekeeping_free(struct housekeeping *h)
{
	if (!h)
		return;
	revocation_sync_free(h->revocations);
	acknowledged_sweep_free(h->acknowledged);
	steering_work_free(h->steering);
	promoting_free(h->promoting);
	work_free(h->work);
	drain_free(h->drain);
	sweep_free(h->sweep);
	inspector_free(h->inspector);
	free(h);
}

static void run_job(struct housekeeping *h, struct arena *a, int i)
{
	int64_t now_ms = clock_mono_ms();
	if (now_ms < h->due_ms[i])
		return;
	enum job_result result = jobs[i].step(h, a);
	bool again = result == JOB_CONTINUE || result == JOB_RUSH;
	h->due_ms[i] = again ? 0 : now_ms + jobs[i].every_ms;
	h->rush |= result == JOB_RUSH;
	h->all_there &= result != JOB_AWAY;
}

/* Checked at the start, so that missing rights are logged then, and not with the first order. */
static bool check_rights(struct service *svc)
{
	bool away, refused = rights_refused(svc, RIGHTS_DRAINERS, &away);
	stats_set(svc->stats, COUNT_drain_denied, refused);
	return !refused && !away;
}

/* No rest while batches are full. Without work, or while a server does not answer, each rest is twice the last one. */
static int next_rest_ms(const struct conf *conf, int moved, int last_ms)
{
	int least = conf->drain_idle_ms;
	if (is_full(conf, moved))
		return 0;
	if (moved > 0)
		return least;
	int next = last_ms < least ? least : last_ms * 2;
	int most = moved < 0 ? AWAY_MAX_MS : IDLE_MAX_MS;
	return next > most ? most : next;
}

int housekeeping_turn(struct housekeeping *h)
{
	struct arena a = { 0 };
	h->may_write = h->may_write || check_rights(h->svc);
	stats_set(h->svc->stats, COUNT_drain_alive, 1);
	h->all_there = true;
	h->rush = false;
	for (int i = 0; i < JOBS; i++)
		run_job(h, &a, i);
	h->swept = (struct backlogs){ 0 };
	arena_release(&a);
	h->may_write &= h->moved >= 0;
	h->rest_ms = next_rest_ms(h->svc->conf, h->may_write ? h->moved : -1, h->rest_ms);
	return h->rush ? 0 : work_rest_ms(h->work, promote_rest_ms(h->promoting, h->rest_ms));
}
