/*
 * sk:dirty names the coupons with orders, and a pass looks at no others. A claim that finds its segment's list empty
 * enters the coupon in sk:dirty. If that entry is lost, the sweep enters the coupon (sweep.h).
 */
#include "drain/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "drain/move.h"
#include "drain/lease.h"
#include "drain/untrimmed.h"
#include "host/fault.h"
#include "sale/worklist.h"

enum { PASS_MS = 100 }; /* a pass ends after the batch in which it has taken so long */

struct drain {
	struct service *svc;
	struct untrimmed *untrimmed;
	char token[64];  /* in this process's leases */
	unsigned passes; /* each starts at another segment of its coupons */
	unsigned start;  /* with which of its coupons the next pass begins */
	struct arena last_arena;
	struct backlogs last; /* the coupons of the last pass */
	bool lost_dirty;      /* the last pass could not read sk:dirty */
	bool all_there;       /* this pass: all servers answered */
	bool refused;         /* this pass: a batch was not moved */
	bool cut_short;       /* the last pass left coupons to the next one */
};

struct drain *drain_new(struct service *svc)
{
	struct drain *d = alloc_zeroed(1, sizeof *d);
	d->svc = svc;
	d->untrimmed = untrimmed_new();
	snprintf(d->token, sizeof d->token, "%d-%lld", (int)getpid(), (long long)clock_ms());
	return d;
}

void drain_free(struct drain *d)
{
	if (!d)
		return;
	untrimmed_free(d->untrimmed);
	arena_release(&d->last_arena);
	free(d);
}

bool drain_lost_dirty(const struct drain *d)
{
	return d->lost_dirty;
}

bool drain_was_cut_short(const struct drain *d)
{
	return d->cut_short;
}

/* Which coupons */

static void keep_last(struct drain *d, const struct backlogs *b)
{
	arena_reset(&d->last_arena);
	d->last.count = b->count;
	d->last.at = arena_alloc(&d->last_arena, (size_t)(b->count + 1) * sizeof *b->at);
	if (b->count)
		memcpy(d->last.at, b->at, (size_t)b->count * sizeof *b->at);
}

static bool has_coupon(const struct backlogs *b, int64_t coupon)
{
	for (int i = 0; i < b->count; i++)
		if (b->at[i].coupon == coupon)
			return true;
	return false;
}

/* In place of sk:dirty: the coupons of the last pass, and those in which the sweep found orders. */
static void add_swept(struct drain *d, struct arena *a, const struct backlogs *swept)
{
	struct backlogs all = { arena_alloc(a, (size_t)(d->last.count + swept->count + 1) * sizeof *all.at),
				d->last.count };
	if (all.count)
		memcpy(all.at, d->last.at, (size_t)all.count * sizeof *all.at);
	for (int i = 0; i < swept->count; i++)
		if (swept->at[i].queued && !has_coupon(&all, swept->at[i].coupon))
			all.at[all.count++] = swept->at[i];
	keep_last(d, &all);
}

static void read_members(struct arena *a, const struct redis_reply *members, struct backlogs *b)
{
	b->at = arena_alloc(a, (redis_count(members) + 1) * sizeof *b->at);
	for (size_t i = 0; i < redis_count(members); i++) {
		struct backlog *one = &b->at[b->count];
		b->count += worklist_read(redis_text_at(members, i), &one->coupon, &one->segments);
	}
}

static struct backlogs *list_coupons(struct drain *d, struct arena *a, const struct backlogs *swept)
{
	struct redis_command c;
	struct backlogs dirty = { 0 };
	const struct redis_reply *members = NULL;
	redis_command(&c, "SMEMBERS");
	key_put(&c, KEY_DIRTY, 0, 0);
	d->lost_dirty = redis_call(d->svc->redis_sync, a, &c, &members) != REDIS_ANSWER;
	d->all_there &= !d->lost_dirty;
	if (d->lost_dirty) {
		add_swept(d, a, swept);
	} else {
		read_members(a, members, &dirty);
		keep_last(d, &dirty);
	}
	return &d->last;
}

/*
 * Removes coupons without orders from sk:dirty, then measures them once more. An order that was claimed before the
 * removal is seen now, and its coupon is entered again. An order that is claimed later finds its list empty, so its
 * claim enters the coupon.
 */
static void remove_empty(struct drain *d, struct arena *a, const struct backlogs *b)
{
	struct backlogs empty = { arena_alloc(a, (size_t)(b->count + 1) * sizeof *b->at), 0 };
	for (int i = 0; i < b->count; i++)
		if (!b->at[i].queued) {
			backlog_forget(d->svc, &b->at[i]);
			empty.at[empty.count++] = b->at[i];
		}
	redis_wait_all(d->svc->redis_sync);
	if (empty.count)
		FAULT(drain_forgotten);
	bool measured = backlogs_measure(d->svc, a, &empty);
	for (int i = 0; i < empty.count; i++)
		if (empty.at[i].queued || !measured)
			backlog_enter(d->svc, &empty.at[i]);
	redis_wait_all(d->svc->redis_sync);
}

/* Draining */

/* claimed_ms is of Redis's clock, which may be ahead of this host's. */
static int64_t age_ms(int64_t claimed_ms)
{
	int64_t age = claimed_ms ? clock_ms() - claimed_ms : 0;
	return age > 0 ? age : 0;
}

static void count_batch(struct drain *d, const struct batch *b)
{
	struct stats *stats = d->svc->stats;
	stats_add(stats, COUNT_drained_orders_total, (uint64_t)b->committed);
	stats_add(stats, COUNT_dead_letters_total, (uint64_t)b->dead);
	stats_add(stats, COUNT_drained_batches_total, b->committed > 0);
	stats_set(stats, COUNT_drain_oldest_ms, (uint64_t)age_ms(b->oldest_ms));
}

static int move_batch(struct drain *d, struct arena *a, const struct backlog *one)
{
	struct batch b;
	batch_init(&b, d->svc, a, one->coupon, one->segments);
	b.first = (int)(d->passes % (unsigned)one->segments);
	bool passed_over = untrimmed_pass_over(d->untrimmed, &b);
	int moved = batch_move(&b);
	untrimmed_remember(d->untrimmed, &b, passed_over);
	d->all_there &= !b.away;
	count_batch(d, &b);
	if (b.stray) /* it was closed: no more orders are claimed */
		backlog_remove(d->svc, one);
	return moved;
}

static int drain_coupon(struct drain *d, const struct backlog *one)
{
	struct arena a = { 0 };
	int moved = 0;
	int64_t leased_ms = clock_mono_ms();
	if (lease_take(d->svc, &a, one->coupon, d->token)) {
		FAULT(drain_leased);
		moved = move_batch(d, &a, one);
		if (clock_mono_ms() - leased_ms < LEASE_MS)
			lease_release(d->svc, one->coupon);
	}
	arena_release(&a);
	return moved;
}

/* A batch that cannot be moved does not stop the pass, unless MySQL or all of Redis does not answer. */
static bool is_store_away(const struct drain *d)
{
	return !db_is_open(d->svc->db) || !redis_is_up(d->svc->redis_sync);
}

static void count_waiting(struct drain *d, const struct backlogs *b)
{
	int64_t waiting = 0;
	for (int i = 0; i < b->count; i++)
		waiting += b->at[i].queued;
	stats_set(d->svc->stats, COUNT_drain_queue_orders, (uint64_t)waiting);
	if (!waiting)
		stats_set(d->svc->stats, COUNT_drain_oldest_ms, 0);
}

/*
 * Ends after PASS_MS, and the next pass begins where this one has ended, because drainers have other work, for which
 * customers wait.
 */
static int drain_all(struct drain *d, const struct backlogs *b)
{
	int moved = 0;
	int64_t began_ms = clock_mono_ms();
	count_waiting(d, b);
	d->cut_short = false;
	for (int i = 0; i < b->count && !d->cut_short; i++) {
		const struct backlog *one = &b->at[d->start++ % (unsigned)b->count];
		int n = one->queued ? drain_coupon(d, one) : 0;
		moved += n > 0 ? n : 0;
		d->refused |= n < 0;
		if (n < 0 && is_store_away(d))
			break;
		d->cut_short = i < b->count - 1 && clock_mono_ms() - began_ms > PASS_MS;
	}
	d->start += !d->cut_short;
	d->passes++;
	return moved;
}

int drain_pass(struct drain *d, struct arena *a, const struct backlogs *swept, bool all_there)
{
	d->refused = false;
	d->all_there = all_there;
	struct backlogs *b = list_coupons(d, a, swept);
	d->all_there &= backlogs_measure(d->svc, a, b);
	int moved = drain_all(d, b);
	if (d->all_there)
		remove_empty(d, a, b);
	redis_wait_all(d->svc->redis_sync);
	return !moved && (d->refused || is_store_away(d)) ? -1 : moved;
}
