/*
 * A batch is one transaction of one coupon, over as many of its segments as
 * have orders: the cursors are locked first, in one statement, and the
 * coupon's row last, so that two drainers queue up instead of dead-locking.
 * When MySQL refuses a value, the batch is tried again order by order, and
 * the one that is refused for good becomes a dead letter in the transaction
 * that moves the cursor past it.
 */
#include "sale/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "sale/coupon.h"
#include "sale/drain_batch.h"
#include "sale/key.h"

enum { LEASE_MS = 5000, CATALOG_MS = 200 };

struct live {
	int64_t coupon;
	int segments;
	int64_t queued;
};

struct drain {
	struct service *svc;
	char token[64]; /* ours, in leases */
	struct live *live;
	int count, first; /* every pass starts with another coupon */
	int64_t listed_ms;
	bool trouble;
};

struct drain *drain_new(struct service *svc)
{
	struct drain *d = calloc(1, sizeof *d);
	if (!d)
		abort();
	d->svc = svc;
	snprintf(d->token, sizeof d->token, "%d-%lld", (int)getpid(), (long long)clock_ms());
	return d;
}

void drain_free(struct drain *d)
{
	if (!d)
		return;
	free(d->live);
	free(d);
}

/* "12:10": coupon and segments */
static bool read_live(struct str member, struct live *l)
{
	struct str rest = member, id;
	int64_t segments;
	if (!parse_split(&rest, ':', &id) || !parse_int(id, 1, INT64_MAX, &l->coupon) ||
	    !parse_int(rest, 1, SEGMENTS_MAX, &segments))
		return false;
	l->segments = (int)segments;
	return true;
}

static int list_live(struct drain *d, struct arena *a)
{
	struct redis_command c;
	const struct redis_reply *reply;
	if (clock_mono_ms() - d->listed_ms < CATALOG_MS)
		return 0;
	redis_command(&c, "ZRANGE");
	key_put(&c, KEY_LIVE, 0, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, -1);
	if (redis_call(d->svc->redis_now, a, &c, &reply) != REDIS_ANSWER)
		return -1;
	free(d->live);
	d->live = calloc(redis_count(reply) + 1, sizeof *d->live);
	if (!d->live)
		abort();
	d->count = 0;
	for (size_t i = 0; i < redis_count(reply); i++)
		d->count += read_live(redis_text_at(reply, i), &d->live[d->count]);
	d->listed_ms = clock_mono_ms();
	return 0;
}

/* How much waits, coupon by coupon */

struct depth {
	struct drain *drain;
	struct live *live;
};

static void on_depth(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct depth *depth = context;
	if (end == REDIS_ANSWER)
		depth->live->queued += redis_number(reply);
	else
		depth->drain->trouble = true;
}

static void measure(struct drain *d, struct arena *a)
{
	struct redis_command c;
	for (int i = 0; i < d->count; i++) {
		struct depth *depth = arena_alloc(a, sizeof *depth);
		*depth = (struct depth){ d, &d->live[i] };
		d->live[i].queued = 0;
		for (int s = 0; s < d->live[i].segments; s++) {
			redis_command(&c, "LLEN");
			key_put(&c, KEY_ORDERS, d->live[i].coupon, s);
			redis_send(d->svc->redis_now, &c, on_depth, depth);
		}
		if (i % 64 == 63)
			redis_settle(d->svc->redis_now);
	}
	redis_settle(d->svc->redis_now);
}

/* Leases */

/* Also when Redis is full and takes no lease: then draining is what makes room, and two drainers do no harm. */
static bool lease(struct drain *d, struct arena *a, int64_t coupon)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "SET");
	key_put(&c, KEY_LEASE, coupon, 0);
	redis_put_text(&c, d->token);
	redis_put_text(&c, "NX");
	redis_put_text(&c, "PX");
	redis_put_int(&c, LEASE_MS);
	enum redis_end end = redis_call(d->svc->redis_now, a, &c, &reply);
	if (end == REDIS_REFUSED)
		return str_starts(redis_text(reply), STR("OOM"));
	return end == REDIS_ANSWER && redis_type(reply) == REDIS_TEXT;
}

static void release(struct drain *d, int64_t coupon)
{
	struct redis_command c;
	redis_command(&c, "DEL");
	key_put(&c, KEY_LEASE, coupon, 0);
	redis_send(d->svc->redis_now, &c, NULL, NULL);
}

static void report(struct drain *d, const struct batch *b)
{
	struct board *board = d->svc->board;
	board_add(board, COUNT_drained_orders_total, (uint64_t)b->committed);
	board_add(board, COUNT_dead_letters_total, (uint64_t)b->dead);
	board_add(board, COUNT_drained_batches_total, b->committed > 0);
	board_set(board, COUNT_drain_oldest_ms, b->oldest_ms ? (uint64_t)(clock_ms() - b->oldest_ms) : 0);
}

static int drain_coupon(struct drain *d, const struct live *l)
{
	struct arena a = { 0 };
	struct batch b;
	int result = 0;
	if (lease(d, &a, l->coupon)) {
		batch_init(&b, d->svc, &a, l->coupon, l->segments);
		result = batch_move(&b);
		report(d, &b);
		release(d, l->coupon);
	}
	arena_release(&a);
	return result;
}

int drain_pass(struct drain *d)
{
	struct arena a = { 0 };
	int moved = 0;
	d->trouble = list_live(d, &a) != 0;
	if (!d->trouble)
		measure(d, &a);
	arena_release(&a);
	int64_t waiting = 0;
	for (int i = 0; i < d->count && !d->trouble; i++) {
		struct live *l = &d->live[(d->first + i) % d->count];
		if (!l->queued)
			continue;
		waiting += l->queued;
		int n = drain_coupon(d, l);
		d->trouble = n < 0;
		moved += n > 0 ? n : 0;
	}
	d->first++;
	board_set(d->svc->board, COUNT_drain_queue_orders, (uint64_t)waiting);
	if (!waiting)
		board_set(d->svc->board, COUNT_drain_oldest_ms, 0);
	return d->trouble ? -1 : moved;
}
