/*
 * What an inspection writes into the hub. Each script first compares the hub's term and the segment's base, and does
 * nothing if the inspection has a lower one. Each may be repeated, because it sets totals and does not add to them.
 */
#include "base/clock.h"
#include "host/fault.h"
#include "inspect/inspection.h"
#include "sale/fence.h"
#include "sale/worklist.h"

static void hub_script(struct inspection *in, struct redis_command *c, const struct redis_script *script)
{
	redis_script(c, script, 1);
	key_put(c, KEY_HUB, in->coupon.id, 0);
}

/* The sale has a waiting list, which may lack somebody now. Drainers complete it (waiting/relist.h). */
static void expect_list(struct inspection *in, const struct redis_reply *reply, size_t waiting_at)
{
	if (redis_number_at(reply, waiting_at) > 0)
		worklist_wait(in->svc->redis_sync, in->coupon.id, in->coupon.segments);
}

/* A new term */

static void take_term(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	inspection_expect_ok(in, s, reply);
	in->at_hub.term = in->numbering.term;
	expect_list(in, reply, 2);
	inspection_note_opening(in, redis_number_at(reply, 1), redis_changed_ms(in->svc->redis_sync));
}

void inspection_begin_term(struct inspection *in)
{
	struct redis_command c;
	char text[KEY_TEXT];
	if (!in->hub.suspect)
		return;
	hub_script(in, &c, &script_term);
	redis_put(&c, in->hub.fence);
	redis_put(&c, inspection_fence(in, text, in->hub.incarnation));
	redis_put_int(&c, in->numbering.term);
	redis_put_int(&c, !redis_is_single(in->svc->redis_sync));
	steering_put(&c, &in->steering);
	inspection_send(in, &c, &in->hub, take_term);
}

/* The segment's new base, its totals, and units for its orders */

/* The hub had declared the sale sold out. No segment is opened while sold-out notices of workers may be valid. */
static void note_sold_out(struct inspection *in, int64_t epoch)
{
	if (in->sold_out_expired)
		return;
	inspection_note_opening(in, epoch, clock_mono_ms());
	in->must_retry = true;
}

static void take_admission(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	if (inspection_reply_is(reply, "SHORT"))
		s->problem = "has sold more than was put on sale";
	else
		inspection_expect_ok(in, s, reply);
	s->at_hub.granted = redis_number_at(reply, 1);
	s->at_hub.taken = redis_number_at(reply, 2);
	in->at_hub.term = redis_number_at(reply, 3);
	s->has_waiters = redis_number_at(reply, 6) > 0;
	expect_list(in, reply, 6);
	if (redis_number_at(reply, 5) == 1)
		note_sold_out(in, redis_number_at(reply, 4));
}

static void admit_segment(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	hub_script(in, &c, &script_admit);
	fence_put(&c, in->coupon.generation);
	redis_put_int(&c, i);
	redis_put_int(&c, in->numbering.bases[i]);
	redis_put_int(&c, s->now.received);
	redis_put_int(&c, s->now.sent);
	redis_put_int(&c, s->now.sold + inspection_missing_units(s));
	inspection_send_to_hub(in, &c, s, take_admission);
}

void inspection_admit(struct inspection *in)
{
	inspection_each(in, admit_segment);
}

/* Makes the hub take the units that the segment has returned since it was admitted. */
static void admit_return(struct inspection *in, struct slot *s, int i)
{
	if (s->now.sent > s->at_hub.taken)
		admit_segment(in, s, i);
}

void inspection_admit_returns(struct inspection *in)
{
	inspection_each(in, admit_return);
}

/* Reports: first of segments to be opened, then of segments that are open */

static void settle_segment(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	hub_script(in, &c, &script_settle);
	fence_put(&c, in->coupon.generation);
	redis_put_int(&c, i);
	redis_put_int(&c, in->numbering.bases[i]);
	redis_put_int(&c, in->at_hub.term);
	inspection_send_to_hub(in, &c, s, inspection_expect_ok);
}

void inspection_settle(struct inspection *in)
{
	FAULT(inspect_mended);
	inspection_each(in, settle_segment);
}

static void report_segment(struct inspection *in, struct slot *s, int i)
{
	const struct slot_segment *now = &s->now;
	const int64_t numbers[] = { i, now->received, now->sent, now->left, now->base, now->term, 0, 0 };
	struct redis_command c;
	hub_script(in, &c, &script_exchange);
	fence_put(&c, in->coupon.generation);
	for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
		redis_put_int(&c, numbers[k]);
	inspection_send_to_hub(in, &c, s, inspection_expect_ok);
}

void inspection_report(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		if (slot_to_report(&in->segments[i]))
			report_segment(in, &in->segments[i], i);
}
