/*
 * What there is to do is in sk:dirty, and only that is looked at in every
 * pass. Beside it goes a sweep over all coupons, for what may be missing
 * there: slot by slot in a fixed time, so that its price does not depend on
 * how many coupons there are, and at full speed for one round after a server
 * came back, when entries may be lost and slots are in doubt. While the
 * server of sk:dirty is away, what stood there last and what the sweep has
 * found since is looked at in its place.
 *
 * A batch is one transaction of one coupon, over as many of its segments as
 * have orders: the cursors are locked first, in one statement, and the
 * coupon's row last, so that two drainers queue up instead of dead-locking.
 * When MySQL refuses a value, the batch is tried again order by order, and
 * the one that is refused for good becomes a dead letter in the transaction
 * that moves the cursor past it.
 */
#include "drain/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/table.h"
#include "catalog/abandoned.h"
#include "catalog/supply.h"
#include "drain/batch.h"
#include "host/fault.h"
#include "host/log.h"
#include "inspect/inspect.h"
#include "order/dead_letter.h"
#include "order/lost.h"
#include "sale/coupon.h"
#include "sale/key.h"
#include "sale/worklist.h"
#include "store/layout.h"

/* A batch takes some ms. A drainer that stands still keeps its lease, and its locks in MySQL (db_begin), for two
 * seconds. */
enum { LEASE_MS = 2000, COUNT_DEAD_MS = 5000, REMOVE_MS = 60000 };

/* The sweep: coupons and slots (hub and segments) that it looks at in one step, and the time that a slot takes. */
enum { SWEEP_COUPONS = 32, SWEEP_SLOTS = 40, SWEEP_SLOT_MS = 5 };

/* How long orders that MySQL has, and that could not be taken off their lists, are passed over. */
enum { PASS_OVER_MS = 1000 };

struct work {
	int64_t coupon;
	int segments;
	int64_t queued;
	struct str member; /* its name in the sets of coupons: "coupon:segments" */
};

struct works {
	struct work *at;
	int count;
};

/* A coupon whose lists could not be trimmed: as far as they were read, and checked. */
struct passed {
	struct table_node node;
	int64_t coupon, until_ms; /* until_ms: then they are read from their heads, and trimmed again */
	unsigned changes;         /* of Redis's servers when that was so */
	int segments;
	struct place places[];
};

struct drain {
	struct service *svc;
	struct inspector *inspector;
	struct table passed;
	char token[64];      /* ours, in leases */
	int first;           /* every pass starts with another coupon */
	int64_t sweep_ms;    /* when the sweep goes on, */
	int64_t sweep_from;  /* behind which coupon, */
	bool sweep_hurries;  /* and whether at full speed, */
	bool sweep_rushes;   /* also while some of it is away: in the first round after a server came up */
	bool sweep_is_whole; /* nothing was left out in this round */
	unsigned changes;    /* of Redis's servers, when this round began */
	int64_t counted_ms;  /* when we last counted dead letters */
	int64_t removed_ms;  /* when we last removed creations that were cut short */
	int64_t remove_from; /* and where we go on at once; 0: all were looked at */
	struct arena known_arena;
	struct works known; /* the coupons of the last pass */
	bool recorded;      /* the layout is recorded in Redis */
	bool blind;         /* sk:dirty could not be read */
	bool trouble;       /* something could not be asked or done in this pass; */
	bool refused;       /* a batch could not be */
};

struct drain *drain_new(struct service *svc)
{
	struct drain *d = alloc_zeroed(1, sizeof *d);
	d->svc = svc;
	d->inspector = inspector_new(svc);
	d->sweep_hurries = true;
	snprintf(d->token, sizeof d->token, "%d-%lld", (int)getpid(), (long long)clock_ms());
	return d;
}

static void free_passed(struct table_node *n)
{
	free(n); /* its first member */
}

void drain_free(struct drain *d)
{
	if (!d)
		return;
	table_clear(&d->passed, free_passed);
	inspector_free(d->inspector);
	arena_release(&d->known_arena);
	free(d);
}

static bool read_work(struct str member, struct work *w)
{
	if (!worklist_read(member, &w->coupon, &w->segments))
		return false;
	w->member = member;
	return true;
}

static void know(struct drain *d, const struct work *w)
{
	struct work *one = &d->known.at[d->known.count++];
	*one = *w;
	one->member = arena_str(&d->known_arena, w->member);
}

static bool is_known(const struct drain *d, const struct work *w)
{
	for (int i = 0; i < d->known.count; i++)
		if (d->known.at[i].coupon == w->coupon)
			return true;
	return false;
}

static struct work *room_for(struct drain *d, int count)
{
	return arena_alloc(&d->known_arena, (size_t)(count + 1) * sizeof(struct work));
}

static void know_only(struct drain *d, const struct works *w)
{
	arena_reset(&d->known_arena);
	d->known = (struct works){ room_for(d, w->count), 0 };
	for (int i = 0; i < w->count; i++)
		know(d, &w->at[i]);
}

/* Those of them that have orders, too. */
static void know_more(struct drain *d, const struct works *w)
{
	for (int i = 0; i < w->count; i++) {
		if (!w->at[i].queued || is_known(d, &w->at[i]))
			continue;
		struct work *more = room_for(d, d->known.count + 1);
		if (d->known.count)
			memcpy(more, d->known.at, (size_t)d->known.count * sizeof *more);
		d->known.at = more;
		know(d, &w->at[i]);
	}
}

/* The coupons in sk:dirty, or, while its server is away, those of before and what the sweep has found. */
static struct works list_works(struct drain *d, struct arena *a, const struct works *swept)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	struct works w = { 0 };
	redis_command(&c, "SMEMBERS");
	key_put(&c, KEY_DIRTY, 0, 0);
	d->blind = redis_call(d->svc->redis_sync, a, &c, &reply) != REDIS_ANSWER;
	d->trouble |= d->blind;
	if (d->blind) {
		know_more(d, swept);
		return d->known;
	}
	w.at = arena_alloc(a, (redis_count(reply) + 1) * sizeof *w.at);
	for (size_t i = 0; i < redis_count(reply); i++)
		w.count += read_work(redis_text_at(reply, i), &w.at[w.count]);
	know_only(d, &w);
	return w;
}

/* How much waits, coupon by coupon */

struct depth {
	struct drain *drain;
	struct work *work;
};

static void on_depth(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct depth *depth = context;
	if (end == REDIS_ANSWER)
		depth->work->queued += redis_number(reply);
	else
		depth->drain->trouble = true;
}

static void measure(struct drain *d, struct arena *a, struct work *w)
{
	struct redis_command c;
	struct depth *depth = arena_alloc(a, sizeof *depth);
	*depth = (struct depth){ d, w };
	w->queued = 0;
	for (int s = 0; s < w->segments; s++) {
		redis_command(&c, "LLEN");
		key_put(&c, KEY_ORDERS, w->coupon, s);
		redis_send(d->svc->redis_sync, &c, on_depth, depth);
	}
}

static void measure_all(struct drain *d, struct arena *a, struct works *w)
{
	for (int i = 0; i < w->count; i++) {
		measure(d, a, &w->at[i]);
		if (i % 64 == 63)
			redis_wait_all(d->svc->redis_sync);
	}
	redis_wait_all(d->svc->redis_sync);
}

static void change_dirty(struct drain *d, const char *command, const struct work *w)
{
	struct redis_command c;
	redis_command(&c, command);
	key_put(&c, KEY_DIRTY, 0, 0);
	redis_put(&c, w->member);
	redis_send(d->svc->redis_sync, &c, NULL, NULL);
}

/*
 * Coupons that were drained leave the set, and are measured once more: an order that came before that is seen now, and
 * one that comes after it is the first on its list and puts its coupon back.
 */
static void tidy(struct drain *d, struct arena *a, struct works *w)
{
	struct works empty = { arena_alloc(a, (size_t)(w->count + 1) * sizeof *w->at), 0 };
	for (int i = 0; i < w->count; i++)
		if (!w->at[i].queued) {
			change_dirty(d, "SREM", &w->at[i]);
			empty.at[empty.count++] = w->at[i];
		}
	redis_wait_all(d->svc->redis_sync);
	if (empty.count)
		FAULT(drain_forgotten);
	measure_all(d, a, &empty);
	for (int i = 0; i < empty.count; i++)
		if (empty.at[i].queued || d->trouble)
			change_dirty(d, "SADD", &empty.at[i]);
	redis_wait_all(d->svc->redis_sync);
}

/* The sweep */

/* The next coupons, as many as a step takes; none: the round is over. False: MySQL does not answer. */
static bool list_next(struct drain *d, struct arena *a, struct works *w)
{
	struct db_rows rows;
	int slots = 0;
	*w = (struct works){ 0 };
	if (db_query(d->svc->db, a,
		     "SELECT id, segments FROM coupons WHERE id > ? AND published = 1 ORDER BY id LIMIT ?", &rows,
		     DB_N(d->sweep_from), DB_N(SWEEP_COUPONS)))
		return false;
	w->at = arena_alloc(a, (size_t)(rows.count + 1) * sizeof *w->at);
	for (; w->count < rows.count && (d->sweep_hurries || slots < SWEEP_SLOTS); w->count++) {
		const struct db_value *v = db_row(&rows, w->count);
		int64_t segments;
		if (db_int(d->svc->db, &v[1], 1, SEGMENTS_MAX, &segments))
			return false;
		slots += (int)segments + 1;
		w->at[w->count] = (struct work){ .coupon = v[0].number,
						 .segments = (int)segments,
						 .member = str_of(arena_printf(a, "%lld:%d", (long long)v[0].number,
									       (int)segments)) };
	}
	if (slots > SWEEP_SLOTS)
		d->sweep_ms += (int64_t)SWEEP_SLOT_MS * (slots - SWEEP_SLOTS);
	d->sweep_from = w->count ? w->at[w->count - 1].coupon : 0;
	return true;
}

/* False: a server is away, of one of them at least. */
static bool sweep_coupons(struct drain *d, struct arena *a, const struct works *w)
{
	bool well = true;
	struct supply_opening o; /* a worker opens the sale; nobody waits for that here */
	int64_t *coupons = arena_alloc(a, (size_t)(w->count + 1) * sizeof *coupons);
	enum status *results = arena_alloc(a, (size_t)(w->count + 1) * sizeof *results);
	for (int i = 0; i < w->count; i++)
		coupons[i] = w->at[i].coupon;
	inspect_coupons(d->inspector, a, coupons, w->count, results);
	for (int i = 0; i < w->count && db_failure(d->svc->db) != DB_AWAY; i++) {
		d->sweep_is_whole &= results[i] != STATUS_BUSY;
		well &= results[i] != STATUS_UNAVAILABLE;
		well &= supply_redo(d->svc, a, coupons[i], &o) != STATUS_UNAVAILABLE;
	}
	return well && db_failure(d->svc->db) != DB_AWAY;
}

/*
 * What a worker that was killed in between left undone: an order that nobody heard of, units that the hub was not told
 * of. And what a restart of Redis has put in doubt, before a claim meets it. False: a server is away.
 */
static bool sweep_some(struct drain *d, struct arena *a, struct works *some)
{
	bool well = list_next(d, a, some);
	measure_all(d, a, some);
	for (int i = 0; i < some->count; i++)
		if (some->at[i].queued)
			change_dirty(d, "SADD", &some->at[i]);
	return sweep_coupons(d, a, some) && well;
}

static int is_forgotten(struct table_node *n, void *now_ms)
{
	enum { UNUSED_MS = 60000 };
	if (*(int64_t *)now_ms - ((struct passed *)n)->until_ms < UNUSED_MS)
		return 0;
	free(n);
	return 1;
}

/* A new round: at full speed when a server came back, and until nothing was left out in such a round. */
static void begin_round(struct drain *d)
{
	unsigned changes = redis_changes(d->svc->redis_sync);
	int64_t now_ms = clock_mono_ms();
	table_sweep(&d->passed, is_forgotten, &now_ms); /* lists that others have trimmed */
	d->sweep_rushes = changes != d->changes;
	d->sweep_hurries = d->blind || changes != d->changes || (d->sweep_hurries && !d->sweep_is_whole);
	d->sweep_is_whole = true;
	d->sweep_from = 0;
	d->recorded &= changes == d->changes; /* a server that is in another life may have earlier data */
	d->changes = changes;
}

/* The coupons that it looked at in this pass. */
static struct works sweep(struct drain *d, struct arena *a)
{
	struct works some = { 0 };
	int64_t now = clock_mono_ms();
	bool changed = d->changes != redis_changes(d->svc->redis_sync);
	if (!changed && now < d->sweep_ms)
		return some;
	if (changed || !d->sweep_from)
		begin_round(d);
	d->sweep_ms = now + (int64_t)SWEEP_SLOT_MS * SWEEP_SLOTS;
	bool well = sweep_some(d, a, &some);
	if ((d->sweep_hurries && well) || d->sweep_rushes || d->blind)
		d->sweep_ms = now;
	d->sweep_is_whole &= well;
	d->trouble |= !well;
	return some;
}

/* For the stats; without MySQL it keeps the last number, and that it is away shows elsewhere. */
static void count_dead(struct drain *d, struct arena *a)
{
	int64_t count;
	if (d->counted_ms && clock_mono_ms() - d->counted_ms < COUNT_DEAD_MS)
		return;
	d->counted_ms = clock_mono_ms();
	if (dead_letter_count(d->svc, a, &count) == STATUS_OK)
		stats_set(d->svc->stats, COUNT_dead_letters_open, (uint64_t)count);
}

static void remove_abandoned(struct drain *d, struct arena *a)
{
	if (d->removed_ms && !d->remove_from && clock_mono_ms() - d->removed_ms < REMOVE_MS)
		return;
	d->removed_ms = clock_mono_ms();
	d->trouble |= abandoned_remove(d->svc, a, &d->remove_from) == STATUS_UNAVAILABLE;
}

/* Leases */

/* False: another drainer has it. Redis may be full, have too few replicas, or be away: two drainers do no harm. */
static bool set_lease(struct drain *d, struct arena *a, int64_t coupon, const char *condition)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "SET");
	key_put(&c, KEY_LEASE, coupon, 0);
	redis_put_text(&c, d->token);
	redis_put_text(&c, condition);
	redis_put_text(&c, "PX");
	redis_put_int(&c, LEASE_MS);
	return redis_call(d->svc->redis_sync, a, &c, &reply) != REDIS_ANSWER || redis_type(reply) != REDIS_NIL;
}

/* A lease that lasts longer than one can is from before Redis's clock was set back. */
static bool lease_is_void(struct drain *d, struct arena *a, int64_t coupon)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "PTTL");
	key_put(&c, KEY_LEASE, coupon, 0);
	return redis_call(d->svc->redis_sync, a, &c, &reply) == REDIS_ANSWER && redis_number(reply) > LEASE_MS;
}

static bool lease(struct drain *d, struct arena *a, int64_t coupon)
{
	return set_lease(d, a, coupon, "NX") || (lease_is_void(d, a, coupon) && set_lease(d, a, coupon, "XX"));
}

static void release(struct drain *d, int64_t coupon)
{
	struct redis_command c;
	redis_command(&c, "DEL");
	key_put(&c, KEY_LEASE, coupon, 0);
	redis_send(d->svc->redis_sync, &c, NULL, NULL);
}

static void report(struct drain *d, const struct batch *b)
{
	struct stats *stats = d->svc->stats;
	stats_add(stats, COUNT_drained_orders_total, (uint64_t)b->committed);
	stats_add(stats, COUNT_dead_letters_total, (uint64_t)b->dead);
	stats_add(stats, COUNT_drained_batches_total, b->committed > 0);
	int64_t age_ms =
		b->oldest_ms ? clock_ms() - b->oldest_ms : 0; /* by Redis's clock, which may be ahead of ours */
	stats_set(stats, COUNT_drain_oldest_ms, age_ms > 0 ? (uint64_t)age_ms : 0);
}

/* What could not be trimmed */

static struct passed *find_passed(struct drain *d, int64_t coupon)
{
	struct table_node *n = table_find(&d->passed, (uint64_t)coupon);
	while (n && ((struct passed *)n)->coupon != coupon)
		n = table_next(n);
	return (struct passed *)n;
}

static struct passed *make_passed(struct drain *d, int64_t coupon, int segments)
{
	struct passed *p = alloc_zeroed(1, sizeof *p + (size_t)segments * sizeof p->places[0]);
	p->coupon = coupon;
	p->segments = segments;
	table_put(&d->passed, &p->node, (uint64_t)coupon);
	return p;
}

static void drop_passed(struct drain *d, struct passed *p)
{
	table_remove(&d->passed, &p->node);
	free(p);
}

/* What is known of lists on servers that were replaced since is worth nothing. */
static struct passed *still_passed(struct drain *d, const struct work *w)
{
	struct passed *p = find_passed(d, w->coupon);
	if (p && (p->segments != w->segments || p->changes != redis_changes(d->svc->redis_sync))) {
		drop_passed(d, p);
		return NULL;
	}
	return p;
}

/* Whether some are passed over in this batch; from time to time none is. */
static bool pass_over(struct batch *b, const struct passed *p)
{
	if (!p || clock_mono_ms() >= p->until_ms)
		return false;
	for (int i = 0; i < b->segments; i++)
		b->segment[i].passed = p->places[i];
	return true;
}

static struct place farther(struct place one, struct place other)
{
	return one.number > other.number ? one : other;
}

/* passing: they were passed over in this batch, so what it says of them replaces what was known. */
static void keep_passed(struct drain *d, const struct batch *b, struct passed *p, bool passing)
{
	bool any = false;
	for (int i = 0; i < b->segments; i++)
		any |= b->segment[i].passed.number || (p && !passing && p->places[i].number);
	if (!any && p)
		drop_passed(d, p);
	if (!any)
		return;
	if (!p)
		p = make_passed(d, b->coupon, b->segments);
	p->changes = redis_changes(d->svc->redis_sync);
	if (!passing)
		p->until_ms = clock_mono_ms() + PASS_OVER_MS;
	for (int i = 0; i < b->segments; i++) {
		const struct segment_batch *s = &b->segment[i];
		p->places[i] = passing || s->trimmed ? s->passed : farther(s->passed, p->places[i]);
	}
}

static int drain_coupon(struct drain *d, const struct work *w)
{
	struct arena a = { 0 };
	struct batch b;
	int result = 0;
	int64_t leased_ms = clock_mono_ms();
	if (lease(d, &a, w->coupon)) {
		FAULT(drain_leased);
		batch_init(&b, d->svc, &a, w->coupon, w->segments);
		struct passed *passed = still_passed(d, w);
		bool passing = pass_over(&b, passed);
		result = batch_move(&b);
		keep_passed(d, &b, passed, passing);
		d->trouble |= b.away;
		report(d, &b);
		if (b.stray) /* nothing comes any more: the set forgets it */
			change_dirty(d, "SREM", w);
		if (clock_mono_ms() - leased_ms < LEASE_MS) /* else it may be another's by now */
			release(d, w->coupon);
	}
	arena_release(&a);
	return result;
}

/* What cannot be moved of one coupon does not hold up the others, unless a server is away from all of them. */
static bool is_hopeless(const struct drain *d)
{
	return !db_is_open(d->svc->db) || !redis_is_up(d->svc->redis_sync);
}

static int drain_all(struct drain *d, const struct works *w)
{
	int moved = 0;
	int64_t waiting = 0;
	for (int i = 0; i < w->count; i++)
		waiting += w->at[i].queued;
	stats_set(d->svc->stats, COUNT_drain_queue_orders, (uint64_t)waiting);
	if (!waiting)
		stats_set(d->svc->stats, COUNT_drain_oldest_ms, 0);
	for (int i = 0; i < w->count; i++) {
		const struct work *one = &w->at[(d->first + i) % w->count];
		int n = one->queued ? drain_coupon(d, one) : 0;
		moved += n > 0 ? n : 0;
		d->refused |= n < 0;
		if (n < 0 && is_hopeless(d))
			break;
	}
	d->first++;
	return moved;
}

bool drain_rushes(const struct drain *d)
{
	return d->sweep_rushes && d->sweep_from;
}

int drain_pass(struct drain *d)
{
	struct arena a = { 0 };
	d->refused = false;
	stats_set(d->svc->stats, COUNT_drain_alive, 1);
	d->recorded = d->recorded || layout_record(d->svc, &a);
	d->trouble = !inspect_suspects(d->inspector, &a);
	d->trouble |= !lost_look_at_some(d->svc, &a);
	struct works swept = sweep(d, &a);
	count_dead(d, &a);
	remove_abandoned(d, &a);
	struct works w = list_works(d, &a, &swept);
	measure_all(d, &a, &w);
	int moved = drain_all(d, &w);
	if (!d->trouble && !d->refused)
		tidy(d, &a, &w);
	redis_wait_all(d->svc->redis_sync);
	arena_release(&a);
	return !moved && (d->refused || is_hopeless(d)) ? -1 : moved;
}
