#include "page/coupon_json.h"

void coupon_put(struct buf *body, const struct coupon *c, const struct availability *st)
{
	json_str(body, "seller", c->seller_name);
	json_str(body, "name", c->name);
	json_str(body, "description", c->description);
	json_int(body, "stock", c->face_value);
	json_int(body, "amount", st->amount);
	json_int(body, "left", st->left);
	json_int(body, "limit", c->limit);
	json_str(body, "state", str_of(availability_state(st)));
	json_time(body, "starts_at", st->starts_ms);
	json_time(body, "ends_at", st->ends_ms);
	json_int(body, "price", c->price);
	if (c->currency.n)
		json_str(body, "currency", c->currency);
	if (c->pay_within_s)
		json_int(body, "pay_within", c->pay_within_s);
	if (c->checkout_url.n)
		json_str(body, "checkout_url", c->checkout_url);
	if (c->waits)
		json_int(body, "waiting", st->waiting);
}

void coupon_put_segments(struct buf *body, const struct availability *st)
{
	json_int(body, "hub", st->hub);
	json_int(body, "queued", st->queued);
	json_begin(body, "segments", '[');
	for (int i = 0; i < st->count; i++) {
		json_begin(body, NULL, '{');
		json_int(body, "left", st->segments[i].left);
		json_int(body, "sold", st->segments[i].sold);
		json_int(body, "queued", st->segments[i].queued);
		json_end(body, '}');
	}
	json_end(body, ']');
}
