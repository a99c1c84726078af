#include "steer/settings_json.h"

void settings_put(struct buf *body, const struct sale_settings *s, enum sale_state state)
{
	json_str(body, "seller", s->seller_name);
	json_str(body, "name", s->name);
	json_str(body, "description", s->description);
	json_str(body, "state", str_of(sale_state_name(state)));
	json_bool(body, "pending", !s->is_told);
	json_time(body, "starts_at", s->steering.starts_ms);
	json_time(body, "ends_at", s->steering.ends_ms);
	json_int(body, "amount", s->amount);
	json_int(body, "withdrawn", s->withdrawn);
	json_int(body, "limit", s->limit);
	json_bool(body, "waiting_list", s->waiting_list);
	json_int(body, "stock", s->face_value);
	json_int(body, "price", s->price);
	if (s->currency.n)
		json_str(body, "currency", s->currency);
	if (s->pay_within_s)
		json_int(body, "pay_within", s->pay_within_s);
	json_bool(body, "late_payment", s->late_payment);
	if (s->checkout_url.n)
		json_str(body, "checkout_url", s->checkout_url);
}

void archived_put(struct buf *body, const struct sale_settings *s)
{
	json_str(body, "seller", s->seller_name);
	json_str(body, "name", s->name);
	json_str(body, "description", s->description);
	json_int(body, "stock", s->face_value);
	json_int(body, "amount", s->amount);
	json_int(body, "left", 0);
	json_str(body, "state", str_of(sale_state_name(SALE_ARCHIVED)));
	json_time(body, "starts_at", s->steering.starts_ms);
	json_time(body, "ends_at", s->steering.ends_ms);
	json_int(body, "price", s->price);
	if (s->currency.n)
		json_str(body, "currency", s->currency);
}
