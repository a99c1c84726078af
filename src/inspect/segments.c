/*
 * What an inspection writes into segments. The scripts (lua/mend.lua, reopen.lua, fence.lua) change a segment only if
 * it is as it was read, and only for the inspection with the highest base. So a script that is repeated or arrives late
 * does nothing.
 */
#include <stdio.h>

#include "host/fault.h"
#include "host/log.h"
#include "inspect/inspection.h"
#include "sale/fence.h"
#include "stock/acknowledged.h"

static int64_t higher(int64_t one, int64_t other)
{
	return one > other ? one : other;
}

/* Closes a segment that is open under a base that was replaced: from now on it sells nothing. */
static void mark_suspect(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	char text[KEY_TEXT];
	if (!str_eq(fence_incarnation(s->fence), s->incarnation))
		return;
	fence_change_command(&c, KEY_SEGMENT, in->coupon.id, i, s->fence, inspection_fence(in, text, STR("")));
	inspection_send(in, &c, s, inspection_expect_ok);
}

void inspection_mark_suspect(struct inspection *in)
{
	inspection_each(in, mark_suspect);
}

/* Missing orders and the hub's totals */

/* The first arguments are what the segment held when it was read, or holds after the previous call. */
static void begin_mend(struct inspection *in, struct redis_command *c, const struct slot *s, int i)
{
	redis_script(c, &script_mend, 2);
	key_put(c, KEY_SEGMENT, in->coupon.id, i);
	key_put(c, KEY_OWNERS, in->coupon.id, i);
	redis_put(c, s->fence);
	redis_put_int(c, s->now.sold);
	redis_put_int(c, s->now.last);
	redis_put_int(c, s->now.received);
	redis_put_int(c, s->now.sent);
	redis_put_int(c, in->numbering.bases[i]);
}

static void take_mended(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	if (s->problem) /* from an earlier call */
		return;
	if (inspection_reply_is(reply, "SHORT"))
		s->problem = "has sold more than it was granted";
	else
		inspection_expect_ok(in, s, reply);
	s->now.sold = redis_number_at(reply, 1);
	s->now.last = redis_number_at(reply, 2);
	s->now.received = redis_number_at(reply, 3);
	s->now.sent = redis_number_at(reply, 4);
	s->now.left = redis_number_at(reply, 5);
}

static void end_mend(struct inspection *in, struct redis_command *c, struct slot *s, int64_t granted, int64_t taken)
{
	redis_put_int(c, granted);
	redis_put_int(c, taken);
	redis_put_int(c, in->at_hub.term);
	inspection_send(in, c, s, take_mended);
}

/* Puts up to MOST missing orders, beginning with the one at `from`, and returns their count. */
static int put_orders(struct redis_command *c, struct slot *s, int from)
{
	enum { ONE = 48, MOST = 64 };
	char text[MOST * ONE], word[OWNER_TEXT];
	size_t n = 0;
	int k = from;
	for (; s->missing && k < s->missing->count && k < from + MOST; k++) {
		const struct missing_order *one = &s->missing->at[k];
		struct str owner = owner_text(word, (struct owner){ one->user, one->user ? one->unit : 1 });
		n += (size_t)snprintf(text + n, sizeof text - n, "%lld %.*s %d ", (long long)one->number, (int)owner.n,
				      owner.p, one->units);
		s->now.sold += one->units;
		s->now.last = one->number;
	}
	redis_put(c, (struct str){ text, n });
	return k - from;
}

/*
 * Calls for one segment are executed in their order, and each compares the segment with what the previous call wrote.
 * Each call passes the hub's totals, so that the segment's numbers agree even if the last calls do not arrive.
 */
static void mend_segment(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	int count = s->missing ? s->missing->count : 0, done = 0;
	do {
		begin_mend(in, &c, s, i);
		done += put_orders(&c, s, done);
		s->now.received = higher(s->now.received, s->at_hub.granted);
		s->now.sent = higher(s->now.sent, s->at_hub.taken);
		end_mend(in, &c, s, s->at_hub.granted, s->at_hub.taken);
	} while (done < count);
	s->missing = NULL;
}

void inspection_mend(struct inspection *in)
{
	FAULT(inspect_admitted);
	inspection_each(in, mend_segment);
}

/*
 * If hub and segments fail over together, they may lose the return of units that the hub has since granted to another
 * segment. Then `avail` of the hub is negative once all segments have reported, and segments that are not open yet
 * return units that they have left.
 */
void inspection_return_units(struct inspection *in)
{
	int64_t lacking = inspection_count_unreported(in) ? 0 : -in->at_hub.avail;
	for (int i = 0; i < in->coupon.segments && lacking > 0; i++) {
		struct slot *s = &in->segments[i];
		struct redis_command c;
		if (!slot_to_open(s) || !s->now.left)
			continue;
		int64_t units = s->now.left < lacking ? s->now.left : lacking;
		lacking -= units;
		begin_mend(in, &c, s, i);
		redis_put_text(&c, "");
		end_mend(in, &c, s, s->now.received, s->now.sent + units);
	}
}

/* The hub's term for open segments, which answer with their numbers */

static void take_report(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	inspection_expect_ok(in, s, reply);
	s->now.left = redis_number_at(reply, 1);
	s->now.received = redis_number_at(reply, 2);
	s->now.sent = redis_number_at(reply, 3);
	s->now.base = redis_number_at(reply, 4);
	s->now.term = redis_number_at(reply, 5);
}

void inspection_ask_reports(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct redis_command c;
		if (!slot_to_report(&in->segments[i]))
			continue;
		redis_script(&c, &script_debit, 1);
		key_put(&c, KEY_SEGMENT, in->coupon.id, i);
		fence_put(&c, in->coupon.generation);
		redis_put_int(&c, 0);
		redis_put_int(&c, in->at_hub.term);
		inspection_send(in, &c, &in->segments[i], take_report);
	}
}

/* Opening and quarantine */

static void take_opened(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	int64_t lost = redis_number_at(reply, 1);
	inspection_expect_ok(in, s, reply);
	if (lost > 0)
		log_error("orders_lost", LOG_INT("coupon", in->coupon.id),
			  LOG_INT("segment", inspection_segment_number(in, s)), LOG_INT("count", lost));
}

/*
 * Puts the range of numbers that reopen.lua enters as lost: numbers that this host acknowledged and the segment lacks.
 * It begins at the base of the highest acknowledged number, because lower ones were dealt with when that base was
 * handed out.
 */
static void put_lost_numbers(struct inspection *in, struct redis_command *c, const struct slot *s, int i)
{
	int64_t acknowledged = acknowledged_read(in->svc, in->coupon.id, i);
	if (acknowledged <= s->now.last) {
		redis_put_text(c, "");
		redis_put_text(c, "");
		return;
	}
	redis_put_int(c, higher(numbers_base(acknowledged), s->now.base) + 1);
	redis_put_int(c, acknowledged);
}

static void open_segment(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	char text[KEY_TEXT];
	redis_script(&c, &script_reopen, 3);
	key_put(&c, KEY_SEGMENT, in->coupon.id, i);
	key_put(&c, KEY_ORDERS, in->coupon.id, i);
	key_put(&c, KEY_OWNERS, in->coupon.id, i);
	redis_put(&c, s->fence);
	redis_put_int(&c, in->numbering.bases[i]);
	redis_put(&c, inspection_fence(in, text, s->incarnation));
	put_lost_numbers(in, &c, s, i);
	redis_put_int(&c, s->has_waiters);
	steering_put(&c, &in->steering);
	inspection_send(in, &c, s, take_opened);
}

void inspection_open(struct inspection *in)
{
	inspection_each(in, open_segment);
}

/*
 * Quarantines only segments that this inspection found suspect, and only if the fence is still the one that was read. A
 * segment of another generation belongs to a recovery.
 */
void inspection_quarantine(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		struct redis_command c;
		if (!s->suspect || !s->problem || s->away)
			continue;
		fence_quarantine_command(&c, KEY_SEGMENT, in->coupon.id, i, s->fence, in->coupon.generation);
		inspection_send(in, &c, s, inspection_expect_ok);
	}
}
