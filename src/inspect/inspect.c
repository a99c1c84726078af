/*
 * MySQL hands out a base for every segment that is in doubt, and a term for
 * the hub; then segments are read, the hub admits them, they are mended, the
 * hub hears them, and they are opened, each under the base that this
 * inspection was given. Nothing is locked. Where another inspection has come
 * meanwhile, or a server is in yet another life, a step does nothing, and the
 * coupon is looked at again. So one that is killed costs nothing either.
 *
 * A server that was replaced puts slots of many coupons in doubt at once, and
 * every step waits for disks. So coupons are inspected side by side.
 */
#include "inspect/inspect.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/random.h"
#include "base/table.h"
#include "catalog/stray.h"
#include "catalog/supply.h"
#include "host/fault.h"
#include "host/log.h"
#include "inspect/inspect_part.h"
#include "order/lost.h"
#include "recover/recover.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/worklist.h"
#include "stock/acknowledged.h"
#include "stock/sold_out.h"

struct inspector {
	struct service *svc;
	struct table openings;
};

/* A hub that was sold out, and whose segments are to be opened: workers may keep the word for SOLD_OUT_LEASE_MS. */
struct opening {
	struct table_node node;
	int64_t coupon, epoch, since_ms;
};

struct inspector *inspector_new(struct service *svc)
{
	struct inspector *ins = alloc_zeroed(1, sizeof *ins);
	ins->svc = svc;
	return ins;
}

static void free_opening(struct table_node *n)
{
	free(n); /* its first member */
}

void inspector_free(struct inspector *ins)
{
	if (ins)
		table_clear(&ins->openings, free_opening);
	free(ins);
}

static struct opening *find_opening(const struct inspection *in)
{
	struct table_node *n = table_find(&in->inspector->openings, (uint64_t)in->coupon.id);
	while (n && ((struct opening *)n)->coupon != in->coupon.id)
		n = table_next(n);
	return (struct opening *)n;
}

static void forget_opening(const struct inspection *in)
{
	struct opening *o = find_opening(in);
	if (o)
		table_remove(&in->inspector->openings, &o->node);
	free(o);
}

void inspection_note_opening(struct inspection *in, int64_t epoch, int64_t since_ms)
{
	struct opening *o = find_opening(in);
	if (!o) {
		o = alloc_zeroed(1, sizeof *o);
		o->coupon = in->coupon.id;
		table_put(&in->inspector->openings, &o->node, (uint64_t)in->coupon.id);
	}
	if (o->epoch != epoch || !o->since_ms)
		o->since_ms = since_ms;
	o->epoch = epoch;
	in->workers_forgot = clock_mono_ms() - o->since_ms > SOLD_OUT_LEASE_MS;
}

static void change_set(struct inspection *in, const char *command, enum key set, redis_done *done)
{
	struct redis_command c;
	worklist_command(&c, command, set, in->coupon.id, in->coupon.segments);
	redis_send(in->svc->redis_sync, &c, done, in);
}

static void log_problem(const struct inspection *in, const char *slot, int i, const char *problem)
{
	if (problem)
		log_error("coupon_quarantined", LOG_INT("coupon", in->coupon.id), LOG_TEXT("slot", slot),
			  LOG_INT("number", i), LOG_TEXT("problem", problem));
}

/* Once, not at every look. */
static void take_news(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct inspection *in = context;
	if (end != REDIS_ANSWER || redis_number(reply) != 1)
		return;
	log_problem(in, "hub", 0, in->hub.problem);
	for (int i = 0; i < in->coupon.segments; i++)
		log_problem(in, "segment", i, in->segments[i].problem);
}

static void finish(struct inspection *in, enum status s)
{
	in->over = true;
	in->result = s;
}

static bool is_whole(const struct inspection *in)
{
	bool whole = !in->hub.problem;
	for (int i = 0; i < in->coupon.segments; i++)
		whole &= !in->segments[i].problem;
	return whole;
}

/*
 * Numbers above an earlier base that this host was told: another host may have opened the segment since, which knew
 * nothing of them.
 */
static void look_for_told(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		const struct slot *s = &in->segments[i];
		int64_t told = acknowledged_read(in->svc, in->coupon.id, i);
		if (!told || s->suspect || s->away || s->problem || told > s->now.base)
			continue;
		if (lost_told(in->svc, in->arena, in->coupon.id, i, told) == STATUS_OK)
			acknowledged_drop(in->svc, in->coupon.id, i, told);
	}
}

static bool has_fence_of_before(struct inspection *in, const struct slot *s, enum key key, int i)
{
	struct redis_command c;
	const struct redis_reply *fence = NULL;
	redis_command(&c, "HGET");
	key_put(&c, key, in->coupon.id, i);
	redis_put_text(&c, "fence");
	enum redis_outcome end = redis_call(in->svc->redis_sync, in->arena, &c, &fence);
	return end == REDIS_BROKEN || (end == REDIS_ANSWER && str_eq(redis_text(fence), s->fence));
}

/*
 * A recovery closes slots, too, on any host. Where one runs, or has opened since what was found closed before, the
 * coupon is looked at again.
 */
static bool is_being_recovered(struct inspection *in)
{
	if (recover_is_running(in->svc, in->arena, in->coupon.id))
		return true;
	for (int i = 0; i < in->coupon.segments; i++) {
		const struct slot *s = &in->segments[i];
		if (s->problem && !s->suspect && !has_fence_of_before(in, s, KEY_SEGMENT, i))
			return true;
	}
	return in->hub.problem && !has_fence_of_before(in, &in->hub, KEY_HUB, 0);
}

/* A coupon of which a segment is away, or waits, stays in doubt. */
static void conclude(struct inspection *in)
{
	bool whole = is_whole(in), waits = !whole && is_being_recovered(in);
	for (int i = 0; i < in->coupon.segments; i++)
		waits |= in->segments[i].waits;
	if (!waits && (!whole || !in->away))
		change_set(in, whole ? "SREM" : "SADD", KEY_QUARANTINED, whole ? NULL : take_news);
	look_for_told(in);
	if (!in->away && waits) {
		change_set(in, "SADD", KEY_SUSPECTS, NULL);
	} else if (!in->away) {
		change_set(in, "SREM", KEY_SUSPECTS, NULL);
		forget_opening(in);
	}
	finish(in, in->away ? STATUS_UNAVAILABLE : waits ? STATUS_BUSY : whole ? STATUS_OK : STATUS_FENCED);
}

/* The coupon is looked at again, with those that are in doubt. */
static void give_up(struct inspection *in)
{
	if (in->status == STATUS_OK)
		change_set(in, "SADD", KEY_SUSPECTS, NULL);
	finish(in, in->status != STATUS_OK ? in->status : STATUS_BUSY);
}

/* The steps. Each is sent for all coupons, and then the answers for all are waited for. */

static void close_at_work(struct inspection *in, const char *problem)
{
	for (int i = 0; i < in->coupon.segments; i++)
		if (slot_is_at_work(&in->segments[i]))
			in->segments[i].problem = problem;
}

static void make_wait(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		in->segments[i].waits |= in->segments[i].suspect;
}

/*
 * No segment opens before the hub has heard all of them (tests/model/lossy: opens-unheard), so while one that it has
 * not heard is away, those that are to be opened wait for that one. They also wait until the hub has begun its term,
 * and until workers have forgotten "sold out". They get no numbers meanwhile.
 */
static void wait_for_others(struct inspection *in)
{
	bool waits = in->hub.suspect;
	for (int i = 0; i < in->coupon.segments; i++)
		waits |= in->segments[i].away && in->segments[i].unheard;
	if (in->at_hub.opening && !in->hub.suspect)
		inspection_note_opening(in, in->at_hub.epoch, clock_mono_ms());
	if (waits || (in->at_hub.opening && !in->workers_forgot))
		make_wait(in);
}

static bool has_work(const struct inspection *in)
{
	bool any = in->hub.suspect;
	for (int i = 0; i < in->coupon.segments; i++)
		any |= slot_is_at_work(&in->segments[i]) || slot_may_report(&in->segments[i]);
	return any;
}

/* Its seller's list, mostly of another slot, names the coupon: these are the servers that had the sale. */
static bool is_listed(const struct inspection *in)
{
	struct redis_command c;
	const struct redis_reply *score = NULL;
	redis_command(&c, "ZSCORE");
	key_put(&c, KEY_SELLER, in->coupon.seller, 0);
	redis_put_int(&c, in->coupon.id);
	return redis_call(in->svc->redis_sync, in->arena, &c, &score) == REDIS_ANSWER && redis_text(score).n > 0;
}

/*
 * A node of the cluster came back without its data, or without the end of a recovery: all other slots are ours and not
 * closed. Where nothing is left of the sale it may be another Redis than the one that had it, and a person decides.
 */
static bool is_unmade(const struct inspection *in)
{
	int unmade = 0, left = 0, ours = 0;
	for (int i = -1; i < in->coupon.segments; i++) {
		const struct slot *s = i < 0 ? &in->hub : &in->segments[i];
		bool gone = !s->away && !s->fence.n;
		unmade += gone || (!s->away && s->unfinished);
		ours += !s->away && s->fence.n && !s->problem;
		left += !gone;
	}
	return !redis_is_single(in->svc->redis_sync) && unmade && unmade + ours == in->coupon.segments + 1 &&
	       (left || is_listed(in));
}

/* Nothing that they held is known but by MySQL and the rest of the sale: a recovery makes all of it anew. */
static enum status make_anew(struct inspection *in)
{
	struct recovery r;
	enum status s = recover_coupon(in->svc, in->arena, in->coupon.id, false, &r);
	if (s == STATUS_OK)
		log_warn("coupon_recovered", LOG_INT("coupon", in->coupon.id), LOG_INT("orders", r.orders),
			 LOG_INT("rescued", r.rescued), LOG_INT("lost", r.unknown));
	return s;
}

static void look(struct inspection *in)
{
	bool doubt = inspection_judge_fences(in);
	if (in->status != STATUS_OK)
		return;
	in->unmade = is_unmade(in) && !is_being_recovered(in);
	if (in->unmade) {
		finish(in, STATUS_BUSY);
		return;
	}
	if (in->hub.problem)
		close_at_work(in, arena_printf(in->arena, "has no hub: that %s", in->hub.problem));
	else
		wait_for_others(in);
	if (in->hub.problem || !doubt || !has_work(in)) {
		inspection_close(in);
		conclude(in);
	} else {
		inspection_suspect(in);
	}
}

/*
 * Another inspection has a base for a segment, and has not opened it yet: it is at work, or it is dead. Mostly it is
 * left alone, since a later base would make its work worth nothing.
 */
static bool leaves_it_to_another(const struct inspection *in)
{
	enum { ONE_OF = 4 };
	bool another = false;
	for (int i = 0; i < in->coupon.segments; i++)
		another |= slot_is_at_work(&in->segments[i]) && in->segments[i].now.base < in->cursors[i].base;
	unsigned char chance;
	random_bytes(&chance, sizeof chance);
	return another && chance % ONE_OF;
}

static void number(struct inspection *in)
{
	in->outrun |= leaves_it_to_another(in);
	if (in->outrun)
		return;
	inspection_number(in);
	FAULT(inspect_numbered);
	if (in->status == STATUS_OK && !in->outrun)
		inspection_begin_term(in);
}

static void judge(struct inspection *in)
{
	inspection_judge(in);
	FAULT(inspect_judged);
	if (!in->outrun)
		inspection_read_back(in);
}

static void mend(struct inspection *in)
{
	FAULT(inspect_admitted);
	inspection_mend(in);
}

static void settle(struct inspection *in)
{
	FAULT(inspect_mended);
	inspection_settle(in);
}

/*
 * What is not heard by now is closed, or away, or another inspection is at it. Where the hub lacks units, a segment
 * that is away may have them.
 */
static void decide(struct inspection *in)
{
	bool hopeless = false;
	for (int i = 0; i < in->coupon.segments; i++)
		hopeless |= in->segments[i].unheard && in->segments[i].problem;
	if (hopeless)
		close_at_work(in,
			      "cannot be opened beside a segment that is closed and that a new hub knows nothing of");
	else if (inspection_unheard(in) || (in->at_hub.avail < 0 && in->away))
		in->outrun = true;
	else if (in->at_hub.avail < 0)
		close_at_work(in, "would sell more than was put on sale");
	FAULT(inspect_settled);
	inspection_close(in);
}

/* The hub may grant, if nobody has told it so already. */
static void end_opening(struct inspection *in)
{
	const struct supply_opening o = { .coupon = in->coupon.id,
					  .generation = in->coupon.generation,
					  .epoch = in->at_hub.epoch };
	if (in->at_hub.opening && in->workers_forgot)
		supply_open(in->svc, in->arena, &o);
}

static void (*const steps[])(struct inspection *in) = {
	inspection_ask_slots,
	inspection_upgrade,
	look,
	number,
	inspection_supply,
	inspection_ask_segments,
	inspection_return_owners,
	judge,
	inspection_admit,
	mend,
	settle,
	inspection_ask_reports,
	inspection_report,
	inspection_ask_hub,
	inspection_give,
	inspection_take_given,
	inspection_ask_hub,
	decide,
	end_opening,
	inspection_open,
	conclude,
};

static void take_step(struct inspection *all, int count, void (*step)(struct inspection *in))
{
	for (int i = 0; i < count; i++)
		if (!all[i].over)
			step(&all[i]);
	if (count)
		redis_wait_all(all->svc->redis_sync);
	for (int i = 0; i < count; i++)
		if (!all[i].over && (all[i].status != STATUS_OK || all[i].outrun))
			give_up(&all[i]);
}

/*
 * As many as have so many slots together. Without MySQL nothing is begun; it is not asked again for each of the others.
 * Returns how many there are.
 */
static int begin_group(struct inspection *group, const int64_t *coupons, int count)
{
	enum { MOST_SLOTS = 1024 };
	enum status s = STATUS_OK;
	int begun = 0;
	for (int slots = 0; begun < count && slots < MOST_SLOTS; begun++) {
		struct inspection *in = &group[begun];
		if (s != STATUS_UNAVAILABLE)
			s = inspection_begin(in, coupons[begun]);
		if (s != STATUS_OK)
			finish(in, s);
		slots += in->coupon.segments;
	}
	return begun;
}

void inspect_coupons(struct inspector *ins, struct arena *a, const int64_t *coupons, int count, enum status *results)
{
	struct inspection *all = arena_alloc(a, (size_t)(count + 1) * sizeof *all);
	for (int i = 0; i < count; i++)
		all[i] = (struct inspection){ .inspector = ins, .svc = ins->svc, .arena = a, .status = STATUS_OK };
	for (int from = 0, size; from < count; from += size) {
		size = begin_group(all + from, coupons + from, count - from);
		for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
			take_step(all + from, size, steps[i]);
	}
	redis_wait_all(ins->svc->redis_sync);
	for (int i = 0; i < count; i++)
		results[i] = all[i].unmade ? make_anew(&all[i]) : all[i].result;
}

static void leave_doubt(struct service *svc, struct str member)
{
	struct redis_command c;
	redis_command(&c, "SREM");
	key_put(&c, KEY_SUSPECTS, 0, 0);
	redis_put(&c, member);
	redis_send(svc->redis_sync, &c, NULL, NULL);
}

bool inspect_suspects(struct inspector *ins, struct arena *a)
{
	struct service *svc = ins->svc;
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SRANDMEMBER");
	key_put(&c, KEY_SUSPECTS, 0, 0);
	redis_put_int(&c, INSPECT_MOST);
	bool well = redis_call(svc->redis_sync, a, &c, &members) == REDIS_ANSWER;
	int segments, count = redis_count(members) < INSPECT_MOST ? (int)redis_count(members) : INSPECT_MOST;
	int64_t *coupons = arena_alloc(a, (size_t)(count + 1) * sizeof *coupons);
	enum status *results = arena_alloc(a, (size_t)(count + 1) * sizeof *results);
	for (int i = 0; i < count; i++)
		if (!worklist_read(redis_text_at(members, (size_t)i), &coupons[i], &segments))
			coupons[i] = 0;
	inspect_coupons(ins, a, coupons, count, results);
	for (int i = 0; i < count; i++) {
		if (results[i] == STATUS_NO_SUCH_COUPON)
			leave_doubt(svc, redis_text_at(members, (size_t)i));
		well &= results[i] != STATUS_UNAVAILABLE;
	}
	redis_wait_all(svc->redis_sync);
	return well;
}

static struct str title_of(struct arena *a, struct str seller, struct str name)
{
	struct buf text;
	buf_init(&text, a);
	buf_put(&text, seller);
	buf_puts(&text, "/");
	buf_put(&text, name);
	return buf_str(&text);
}

/* As MySQL has it; else as Redis describes it, with its id, because another sale may have that name by now. */
static bool read_title(struct service *svc, struct arena *a, int64_t id, struct str *title)
{
	struct db_rows rows;
	struct stray s;
	if (db_query(svc->db, a,
		     "SELECT u.name, c.name FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?", &rows,
		     DB_N(id)))
		return false;
	if (rows.count)
		*title = title_of(a, db_row(&rows, 0)[0].text, db_row(&rows, 0)[1].text);
	else if (stray_names(svc, a, id, &s) == STATUS_OK)
		*title = str_of(arena_printf(a, "%.*s/%.*s (%lld, not in MySQL)", (int)s.seller_name.n, s.seller_name.p,
					     (int)s.name.n, s.name.p, (long long)id));
	else
		return false;
	return true;
}

enum status inspect_quarantined(struct service *svc, struct arena *a, struct str **titles, int *count)
{
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SMEMBERS");
	key_put(&c, KEY_QUARANTINED, 0, 0);
	if (redis_call(svc->redis_sync, a, &c, &members) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	*titles = arena_alloc(a, (redis_count(members) + 1) * sizeof **titles);
	*count = 0;
	for (size_t i = 0; i < redis_count(members); i++) {
		int64_t coupon;
		int segments;
		if (!worklist_read(redis_text_at(members, i), &coupon, &segments))
			continue;
		if (!read_title(svc, a, coupon, &(*titles)[*count]))
			return STATUS_UNAVAILABLE;
		++*count;
	}
	return STATUS_OK;
}
