/*
 * An inspection has nine parts. The table `steps` below has the steps of each part in their order.
 *
 *   read       read hub and segments; the fences show which slots are suspect
 *   number     MySQL hands out a base for each segment to be opened, and a term for a suspect hub
 *   reread     read these segments once more: of two inspections, the one with the higher base has read later
 *   judge      check the segments' numbers, and read the orders that MySQL has and a segment lacks
 *   admit      the hub takes the units that a segment returned, and grants the units that its orders need
 *   mend       write missing orders and the hub's totals into the segment
 *   settle     the hub records that the segment has reported; open segments report, too
 *   return     if the hub lacks units, segments that are not open return theirs
 *   open       enter orders that are over and whose owners are to be removed; open the segments under their new bases
 * and in the incarnation that was read
 *
 * A step sends commands and returns; its take_ functions get the replies before the next step begins.
 * tests/model/lossy/inspect.c has the same parts in this order, and shows what another order would break.
 *
 * Nothing is locked. Each script changes a slot only if the slot is as it was read, and if no inspection with a higher
 * base or term has changed it; otherwise the script does nothing, and the coupon stays suspect. So a step may be
 * repeated, an inspection may die after any step, and several may work on one coupon at the same time.
 *
 * A server that was replaced makes slots of many coupons suspect at once, and every step waits for disks. So a step
 * sends its commands for many coupons before it waits for the replies.
 */
#include "inspect/inspect.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/random.h"
#include "catalog/supply.h"
#include "host/fault.h"
#include "host/log.h"
#include "inspect/inspection.h"
#include "inspect/openings.h"
#include "recover/recover.h"
#include "sale/catalog_index.h"
#include "sale/worklist.h"

struct inspector {
	struct service *svc;
	struct openings openings;
};

struct inspector *inspector_new(struct service *svc)
{
	struct inspector *ins = alloc_zeroed(1, sizeof *ins);
	ins->svc = svc;
	return ins;
}

void inspector_free(struct inspector *ins)
{
	if (ins)
		openings_release(&ins->openings);
	free(ins);
}

/* Slots that a server lost */

/* Both entries are usually on other servers than the slots. One of them shows that this is the Redis that had the
 * coupon. */

static bool is_in_sellers_list(const struct inspection *in)
{
	struct redis_command c;
	const struct redis_reply *score = NULL;
	redis_command(&c, "ZSCORE");
	key_put(&c, KEY_SELLER, in->coupon.seller, 0);
	redis_put_int(&c, in->coupon.id);
	return redis_call(in->svc->redis_sync, in->arena, &c, &score) == REDIS_ANSWER && redis_text(score).n > 0;
}

static bool is_in_catalog(const struct inspection *in)
{
	struct redis_command c;
	const struct redis_reply *id = NULL;
	catalog_find(&c, in->coupon.seller_name, in->coupon.name);
	return redis_call(in->svc->redis_sync, in->arena, &c, &id) == REDIS_ANSWER && redis_number(id) == in->coupon.id;
}

/*
 * True: a node of the cluster came back without its data or without the last writes of a recovery, and all other slots
 * are sound. If Redis has nothing of the coupon, it may be another Redis than the one that had it: an operator must
 * decide.
 */
static bool needs_recovery(const struct inspection *in)
{
	bool any_left;
	return !redis_is_single(in->svc->redis_sync) && inspection_lost_slots(in, &any_left) &&
	       (any_left || is_in_sellers_list(in) || is_in_catalog(in));
}

/* Does nothing if another drainer has recovered the coupon meanwhile, which changed its generation. */
static enum status recover_lost_slots(const struct inspection *in)
{
	const struct recovery_options options = { .generation = in->coupon.generation };
	struct recovery_result r;
	enum status s = recover_coupon(in->svc, in->arena, in->coupon.id, &options, &r);
	if (s == STATUS_OK)
		log_warn("coupon_recovered", LOG_INT("coupon", in->coupon.id), LOG_INT("orders", r.orders),
			 LOG_INT("rescued", r.rescued), LOG_INT("lost", r.unknown));
	return s;
}

/* A recovery needs every server, and runs once. Until it is done no segment can be opened. */
static void leave_to_recovery(struct inspection *in)
{
	in->needs_recovery = !in->away && !inspection_is_being_recovered(in);
	in->must_retry = !in->away && !in->needs_recovery;
	if (!in->must_retry)
		inspection_finish(in, in->away ? STATUS_UNAVAILABLE : STATUS_BUSY);
}

/* Steps that decide what later steps do */

static void stop_at_fences(struct inspection *in)
{
	inspection_quarantine(in);
	inspection_conclude(in);
}

static void judge_fences(struct inspection *in)
{
	bool any_suspect = inspection_judge_fences(in);
	if (in->status != STATUS_OK)
		return;
	if (needs_recovery(in)) {
		leave_to_recovery(in);
		return;
	}
	bool is_older = inspection_is_mysql_older(in);
	if (in->status != STATUS_OK)
		return;
	if (in->hub.problem)
		inspection_refuse(in, arena_printf(in->arena, "cannot be opened: the hub %s", in->hub.problem));
	else
		inspection_mark_waiting(in);
	if (is_older || in->hub.problem || !any_suspect || !inspection_has_work(in))
		stop_at_fences(in);
	else
		inspection_mark_suspect(in);
}

/*
 * Another inspection was handed a base for a segment and has not opened the segment: it is at work, or its process
 * died. In three cases of four this inspection yields, because a higher base would undo the work of the other; in the
 * fourth it goes on.
 */
static bool yield_to_other(const struct inspection *in)
{
	enum { ONE_OF = 4 };
	bool another = false;
	for (int i = 0; i < in->coupon.segments; i++)
		another |= slot_to_open(&in->segments[i]) && in->segments[i].now.base < in->cursors[i].base;
	unsigned char chance;
	random_bytes(&chance, sizeof chance);
	return another && chance % ONE_OF;
}

static void hand_out_numbers(struct inspection *in)
{
	in->must_retry |= yield_to_other(in);
	if (in->must_retry)
		return;
	inspection_hand_out_numbers(in);
	FAULT(inspect_numbered);
	if (in->status == STATUS_OK && !in->must_retry)
		inspection_begin_term(in);
}

/*
 * On a cluster the keys of a segment may be lost one by one, when its hash slot moves. Orders of a lost list may be
 * found among the owners or in their customers' lists. Elsewhere nothing explains such a list: an operator must decide.
 */
static void judge_numbers(struct inspection *in)
{
	inspection_judge_numbers(in);
	FAULT(inspect_judged);
	if (in->must_retry)
		return;
	if (in->lost_records && !redis_is_single(in->svc->redis_sync))
		leave_to_recovery(in);
	else
		inspection_read_missing(in);
}

static void judge_units(struct inspection *in)
{
	inspection_judge_units(in);
	FAULT(inspect_settled);
	inspection_quarantine(in);
}

/* Lets the hub grant again after it had declared the sale sold out. */
static void end_opening(struct inspection *in)
{
	const struct supply_opening o = { .coupon = in->coupon.id,
					  .generation = in->coupon.generation,
					  .epoch = in->at_hub.epoch };
	if (in->at_hub.is_opening && in->sold_out_expired)
		supply_open(in->svc, in->arena, &o);
}

static void (*const steps[])(struct inspection *in) = {
	/* read */
	inspection_read_slots,
	inspection_upgrade,
	inspection_find_steering,
	judge_fences,
	/* number */
	hand_out_numbers,
	inspection_raise_amount,
	/* reread */
	inspection_reread_segments,
	/* judge */
	inspection_restore_owners,
	judge_numbers,
	inspection_weigh_missing,
	/* admit */
	inspection_admit,
	/* mend */
	inspection_mend,
	/* settle */
	inspection_settle,
	inspection_ask_reports,
	inspection_report,
	inspection_reread_hub,
	/* return */
	inspection_return_units,
	inspection_admit_returns,
	inspection_reread_hub,
	judge_units,
	inspection_count_owners,
	inspection_return_orders,
	/* open */
	end_opening,
	inspection_open,
	inspection_conclude,
};

static void take_step(struct inspection *all, int count, void (*step)(struct inspection *in))
{
	for (int i = 0; i < count; i++)
		if (!all[i].finished)
			step(&all[i]);
	if (count)
		redis_wait_all(all->svc->redis_sync);
	for (int i = 0; i < count; i++)
		if (!all[i].finished && (all[i].status != STATUS_OK || all[i].must_retry))
			inspection_give_up(&all[i]);
}

/*
 * Begins inspections of coupons up to about MOST_SLOTS slots, and returns their count. Once MySQL has not answered, it
 * is not asked for the rest.
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
			inspection_finish(in, s);
		slots += in->coupon.segments;
	}
	return begun;
}

static void inspect_all(struct inspection *all, const int64_t *coupons, int count)
{
	for (int from = 0, size; from < count; from += size) {
		size = begin_group(all + from, coupons + from, count - from);
		for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
			take_step(all + from, size, steps[i]);
	}
}

void inspect_coupons(struct inspector *ins, struct arena *a, const int64_t *coupons, int count, enum status *results)
{
	struct inspection *all = arena_alloc(a, (size_t)(count + 1) * sizeof *all);
	for (int i = 0; i < count; i++)
		all[i] = (struct inspection){
			.svc = ins->svc, .arena = a, .openings = &ins->openings, .status = STATUS_OK
		};
	inspect_all(all, coupons, count);
	redis_wait_all(ins->svc->redis_sync);
	for (int i = 0; i < count; i++)
		results[i] = all[i].needs_recovery ? recover_lost_slots(&all[i]) : all[i].result;
}

/* The worklist */

static void remove_member(struct service *svc, struct str member)
{
	struct redis_command c;
	redis_command(&c, "SREM");
	key_put(&c, KEY_SUSPECTS, 0, 0);
	redis_put(&c, member);
	redis_send(svc->redis_sync, &c, NULL, NULL);
}

static int read_suspects(const struct redis_reply *members, int64_t *coupons)
{
	int segments, count = redis_count(members) < INSPECT_MOST ? (int)redis_count(members) : INSPECT_MOST;
	for (int i = 0; i < count; i++)
		if (!worklist_read(redis_text_at(members, (size_t)i), &coupons[i], &segments))
			coupons[i] = 0; /* no coupon has this id, so the member is removed */
	return count;
}

bool inspect_suspects(struct inspector *ins, struct arena *a)
{
	struct service *svc = ins->svc;
	struct redis_command c;
	const struct redis_reply *members = NULL;
	int64_t coupons[INSPECT_MOST];
	enum status results[INSPECT_MOST];
	redis_command(&c, "SRANDMEMBER");
	key_put(&c, KEY_SUSPECTS, 0, 0);
	redis_put_int(&c, INSPECT_MOST);
	bool all_answer = redis_call(svc->redis_sync, a, &c, &members) == REDIS_ANSWER;
	int count = read_suspects(members, coupons);
	inspect_coupons(ins, a, coupons, count, results);
	for (int i = 0; i < count; i++) {
		if (results[i] == STATUS_NO_SUCH_COUPON)
			remove_member(svc, redis_text_at(members, (size_t)i));
		all_answer &= results[i] != STATUS_UNAVAILABLE;
	}
	redis_wait_all(svc->redis_sync);
	return all_answer;
}
