#include "order/trace.h"

#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"

static void take_reply(struct trace *t, const struct redis_reply *reply)
{
	static const enum status states[] = {
		[FENCE_OTHER] = STATUS_BUSY, [FENCE_SUSPECT] = STATUS_BUSY, [FENCE_QUARANTINED] = STATUS_FENCED
	};
	bool is_open = redis_number_at(reply, 0) == 1;
	t->segment = is_open ? STATUS_OK : states[fence_read(redis_text_at(reply, 1), t->generation)];
	t->is_on_list = redis_text_at(reply, 2).n > 0;
	int64_t unit = 0;
	redis_number_in(redis_at(reply, 3), 1, UNITS_MAX, &unit);
	t->owned_unit = (int)unit;
	t->last = redis_number_at(reply, 4);
	t->base = -1;
	redis_number_in(redis_at(reply, 5), 0, NUMBER_MAX, &t->base);
	if (!order_record_read(redis_text_at(reply, 2), &t->record) || t->record.sequence != t->number.sequence)
		t->record = (struct order_record){ 0 };
}

enum status trace_segment(struct service *svc, struct arena *a, struct trace *t)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	const struct order_number *n = &t->number;
	redis_script(&c, &script_trace, 3);
	key_put(&c, KEY_SEGMENT, n->coupon, n->segment);
	key_put(&c, KEY_OWNERS, n->coupon, n->segment);
	key_put(&c, KEY_ORDERS, n->coupon, n->segment);
	fence_put(&c, t->generation);
	redis_put_int(&c, n->sequence);
	redis_put_int(&c, t->user);
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	take_reply(t, reply);
	return STATUS_OK;
}

enum status trace_customer_list(struct service *svc, struct arena *a, struct trace *t)
{
	char text[ORDER_NUMBER_TEXT];
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	t->listed_ms = 0;
	if (redis_is_single(svc->redis_sync))
		return STATUS_OK;
	redis_command(&c, "ZSCORE");
	key_put(&c, KEY_CUSTOMER, t->user, 0);
	redis_put(&c, order_number_text(text, t->number.coupon, t->number.segment, t->number.sequence));
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	redis_number_in(reply, 1, NUMBER_MAX, &t->listed_ms);
	return STATUS_OK;
}
