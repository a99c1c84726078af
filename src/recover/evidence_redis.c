/* Reads evidence from Redis: the segment, its list, its owners, and the customers' lists. */
#include "order/customer_lists.h"
#include "order/order_scan.h"
#include "recover/evidence.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "sale/slot.h"

enum { PAGE = 1000 };

static int64_t at_least_0(int64_t number)
{
	return number > 0 ? number : 0;
}

/* A value that is not a hash (REDIS_BROKEN) reads as an empty segment: the recovery replaces it. */
static enum status read_segment(struct service *svc, int64_t coupon, struct evidence *e)
{
	struct arena a = { 0 };
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	struct slot_segment now;
	slot_segment_command(&c, coupon, e->segment);
	enum redis_outcome outcome = redis_call(svc->redis_sync, &a, &c, &reply);
	bool is_read = outcome == REDIS_ANSWER || outcome == REDIS_BROKEN;
	if (is_read) {
		slot_segment_read(&a, reply, 0, &now);
		e->term = at_least_0(now.term);
		e->steering = now.steering;
		evidence_note_range(e, (struct evidence_range){ .base = at_least_0(now.base) });
		if (now.last != now.base) /* else no number was given out above the base */
			evidence_note_number(e, now.last);
	}
	arena_release(&a);
	return is_read ? STATUS_OK : STATUS_UNAVAILABLE;
}

/*
 * A record without a user names a lost order; its number is only noted as given out, so it counts as missing. The
 * number of a record that cannot be parsed is 0, which is not noted.
 */
static void add_listed(void *context, const struct scanned_order *o)
{
	struct evidence *e = context;
	if (o->sequence && o->user)
		evidence_add_order(e, (struct evidence_order){ .owner = { o->user, o->unit },
							       .number = o->sequence,
							       .claimed_ms = o->claimed_ms,
							       .ticket = o->ticket,
							       .source = SOURCE_LIST });
	else
		evidence_note_number(e, o->sequence);
}

/* Of a tombstone only the number is noted: the order is over, and the entry stays. */
static void add_owner(void *context, const struct scanned_order *o)
{
	if (o->over)
		evidence_note_number(context, o->sequence);
	else if (o->sequence)
		evidence_add_order(context, (struct evidence_order){ .owner = { o->user, o->unit },
								     .number = o->sequence,
								     .source = SOURCE_OWNERS,
								     .owner_number = o->sequence });
}

enum status evidence_read_redis(struct service *svc, const struct coupon *c, struct evidence *e)
{
	const struct order_scan list = { svc, c->id, e->segment, add_listed, e };
	const struct order_scan owners = { svc, c->id, e->segment, add_owner, e };
	enum status s = read_segment(svc, c->id, e);
	if (s == STATUS_OK)
		s = order_scan_list(&list);
	return s == STATUS_OK ? order_scan_owners(&owners) : s;
}

/* Customers' lists */

struct all_segments {
	const struct coupon *coupon;
	struct evidence *evidence; /* of each segment */
};

static void add_entry(void *context, int64_t user, struct str order, int64_t claimed_ms)
{
	const struct all_segments *all = context;
	struct order_number n;
	if (!order_number_read(order, &n) || n.coupon != all->coupon->id || n.segment >= all->coupon->segments)
		return;
	evidence_add_order(&all->evidence[n.segment], (struct evidence_order){ .owner = { user, 0 },
									       .number = n.sequence,
									       .claimed_ms = claimed_ms,
									       .source = SOURCE_CUSTOMER });
}

enum status evidence_read_customers(struct service *svc, const struct coupon *c, struct evidence *all)
{
	struct all_segments context = { c, all };
	return customer_lists_read(svc, &(struct customer_lists){ .see = add_entry, .context = &context });
}

enum { TIME_UNREAD = -1 }; /* its server did not answer */

static void on_time(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct evidence_order *order = context;
	if (outcome == REDIS_ANSWER)
		order->claimed_ms = redis_number(reply);
	else if (outcome != REDIS_BROKEN)
		order->claimed_ms = TIME_UNREAD;
}

enum status evidence_read_times(struct service *svc, const struct coupon *c, struct evidence *e)
{
	char text[ORDER_NUMBER_TEXT];
	if (redis_is_single(svc->redis_sync))
		return STATUS_OK;
	for (int i = 0; i < e->order_count; i++) {
		struct evidence_order *order = &e->orders[i];
		struct redis_command cmd;
		if (order->claimed_ms || !order->owner_number)
			continue;
		redis_command(&cmd, "ZSCORE");
		key_put(&cmd, KEY_CUSTOMER, order->owner.user, 0);
		redis_put(&cmd, order_number_text(text, c->id, e->segment, order->owner_number));
		redis_send(svc->redis_sync, &cmd, on_time, order);
		if (i % PAGE == PAGE - 1)
			redis_wait_all(svc->redis_sync);
	}
	redis_wait_all(svc->redis_sync);
	for (int i = 0; i < e->order_count; i++)
		if (e->orders[i].claimed_ms == TIME_UNREAD)
			return STATUS_UNAVAILABLE;
	return STATUS_OK;
}
