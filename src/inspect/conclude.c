/*
 * The end of an inspection: updates the worklists of suspect and quarantined coupons, logs problems, and records lost
 * orders that this host acknowledged.
 */
#include "host/log.h"
#include "inspect/inspection.h"
#include "inspect/openings.h"
#include "order/lost.h"
#include "recover/recover.h"
#include "sale/worklist.h"
#include "stock/acknowledged.h"

static void change_worklist(struct inspection *in, const char *command, enum key set, redis_done *done)
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

/* Logs only when the coupon enters the worklist, because a quarantined coupon is inspected again and again. */
static void on_quarantined(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	const struct inspection *in = context;
	if (outcome != REDIS_ANSWER || redis_number(reply) != 1)
		return;
	log_problem(in, "hub", 0, in->hub.problem);
	for (int i = 0; i < in->coupon.segments; i++)
		log_problem(in, "segment", i, in->segments[i].problem);
}

static bool has_problem(const struct inspection *in)
{
	bool any = in->hub.problem;
	for (int i = 0; i < in->coupon.segments; i++)
		any |= in->segments[i].problem != NULL;
	return any;
}

/*
 * Records as lost the numbers that this host acknowledged below the base of an open segment, if their orders are gone.
 * Another host may have opened the segment, without these numbers in its high-water table.
 */
static void name_lost_orders(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		const struct slot *s = &in->segments[i];
		int64_t acknowledged = acknowledged_read(in->svc, in->coupon.id, i);
		if (!acknowledged || s->suspect || s->away || s->problem || acknowledged > s->now.base)
			continue;
		if (lost_acknowledged(in->svc, in->arena, in->coupon.id, i, acknowledged) == STATUS_OK)
			acknowledged_drop(in->svc, in->coupon.id, i, acknowledged);
	}
}

static bool has_fence_as_read(struct inspection *in, const struct slot *s, enum key key, int i)
{
	struct redis_command c;
	const struct redis_reply *fence = NULL;
	redis_command(&c, "HGET");
	key_put(&c, key, in->coupon.id, i);
	redis_put_text(&c, "fence");
	enum redis_outcome outcome = redis_call(in->svc->redis_sync, in->arena, &c, &fence);
	return outcome == REDIS_BROKEN || (outcome == REDIS_ANSWER && str_eq(redis_text(fence), s->fence));
}

/*
 * A recovery, on this host or another one, closes slots as a quarantine does. If one runs, has ended, or has opened a
 * slot since this inspection read the slots, they are not to be reported as quarantined.
 */
bool inspection_is_being_recovered(struct inspection *in)
{
	if (recover_has_begun(in->svc, in->arena, in->coupon.id, in->coupon.generation))
		return true;
	for (int i = 0; i < in->coupon.segments; i++) {
		const struct slot *s = &in->segments[i];
		if (s->problem && !s->suspect && !has_fence_as_read(in, s, KEY_SEGMENT, i))
			return true;
	}
	return in->hub.problem && !has_fence_as_read(in, &in->hub, KEY_HUB, 0);
}

static bool must_be_repeated(struct inspection *in, bool is_sound)
{
	bool any = !is_sound && inspection_is_being_recovered(in);
	for (int i = 0; i < in->coupon.segments; i++)
		any |= in->segments[i].waits;
	return any;
}

static void remove_suspect(struct inspection *in)
{
	change_worklist(in, "SREM", KEY_SUSPECTS, NULL);
	openings_forget(in->openings, in->coupon.id);
}

/* A coupon stays on the worklist while a segment is unreachable or waits. */
void inspection_conclude(struct inspection *in)
{
	bool is_sound = !has_problem(in), repeat = must_be_repeated(in, is_sound);
	if (!repeat && !is_sound)
		change_worklist(in, "SADD", KEY_QUARANTINED, on_quarantined);
	else if (!repeat && !in->away)
		change_worklist(in, "SREM", KEY_QUARANTINED, NULL);
	name_lost_orders(in);
	if (!in->away && repeat)
		change_worklist(in, "SADD", KEY_SUSPECTS, NULL);
	else if (!in->away)
		remove_suspect(in);
	enum status decided = is_sound ? STATUS_OK : STATUS_FENCED;
	inspection_finish(in, in->away ? STATUS_UNAVAILABLE : repeat ? STATUS_BUSY : decided);
}

void inspection_give_up(struct inspection *in)
{
	if (in->status == STATUS_OK)
		change_worklist(in, "SADD", KEY_SUSPECTS, NULL);
	inspection_finish(in, in->status != STATUS_OK ? in->status : STATUS_BUSY);
}
