#include "steer/rules.h"

static enum status refuse(struct steer_result *r, enum status s, const char *detail)
{
	r->detail = detail;
	return s;
}

/* Every rule gets the settings as they were, and changes r->settings. */
struct rule {
	const struct steer_change *change;
	struct steering was;
	enum sale_state state; /* at now_ms */
	int64_t now_ms;
	bool has_started;
};

static enum status change_state(const struct rule *u, struct steer_result *r)
{
	enum sale_state wanted = u->change->state;
	if (!u->change->has_state || wanted == u->state)
		return STATUS_OK;
	if (u->state == SALE_ARCHIVED)
		return refuse(r, STATUS_TOO_LATE, "the sale is archived");
	if (u->state == SALE_ENDED && wanted != SALE_ARCHIVED)
		return refuse(r, STATUS_TOO_LATE, "the sale has ended: create another one");
	if (u->state != SALE_ENDED && wanted == SALE_ARCHIVED)
		return STATUS_NOT_ENDED;
	r->settings.steering.state = wanted;
	r->changed = true;
	return STATUS_OK;
}

static enum status change_start(const struct rule *u, struct steer_result *r)
{
	if (!u->change->has_starts || u->change->starts_ms == u->was.starts_ms)
		return STATUS_OK;
	if (u->has_started || u->state >= SALE_ENDED)
		return refuse(r, STATUS_TOO_LATE, "starts_at can be changed only before the start");
	r->settings.steering.starts_ms = u->change->starts_ms;
	r->changed = true;
	return STATUS_OK;
}

static enum status change_end(const struct rule *u, struct steer_result *r)
{
	int64_t ends_ms = u->change->ends_ms;
	if (!u->change->has_ends || ends_ms == u->was.ends_ms)
		return STATUS_OK;
	if (u->state >= SALE_ENDED)
		return refuse(r, STATUS_TOO_LATE, "ends_at can be changed only before the end");
	if (ends_ms && ends_ms <= u->now_ms)
		return refuse(r, STATUS_BAD_FIELD,
			      "ends_at must be in the future, or \"\" for no end; \"ended\" ends the sale now");
	r->settings.steering.ends_ms = ends_ms;
	r->changed = true;
	return STATUS_OK;
}

static enum status check_window(const struct rule *u, struct steer_result *r)
{
	const struct steering *s = &r->settings.steering;
	bool is_changed = s->starts_ms != u->was.starts_ms || s->ends_ms != u->was.ends_ms;
	if (is_changed && s->ends_ms && s->ends_ms <= s->starts_ms)
		return refuse(r, STATUS_BAD_FIELD, "ends_at must be after starts_at");
	return STATUS_OK;
}

static enum status change_description(const struct rule *u, struct steer_result *r)
{
	if (!u->change->has_description || str_eq(u->change->description, r->settings.description))
		return STATUS_OK;
	if (u->has_started || u->state >= SALE_ENDED)
		return refuse(r, STATUS_TOO_LATE, "description can be changed only before the start");
	r->settings.description = u->change->description;
	r->changed = true;
	return STATUS_OK;
}

static enum status change_price(const struct rule *u, struct steer_result *r)
{
	if (!u->change->has_price || u->change->price == r->settings.price)
		return STATUS_OK;
	if (u->has_started || u->state >= SALE_ENDED)
		return refuse(r, STATUS_TOO_LATE, "price can be changed only before the start");
	if (u->change->price && !r->settings.currency.n)
		return refuse(r, STATUS_BAD_FIELD, "price needs a currency, which is fixed when the coupon is created");
	r->settings.price = u->change->price;
	r->changed = true;
	return STATUS_OK;
}

static enum status ask_for_units(const struct rule *u, struct steer_result *r)
{
	if (!u->change->withdraw)
		return STATUS_OK;
	if (u->state == SALE_ARCHIVED)
		return refuse(r, STATUS_TOO_LATE, "the sale is archived");
	if (r->settings.asked > NUMBER_MAX - u->change->withdraw)
		return refuse(r, STATUS_BAD_FIELD, "withdraw must be lower");
	r->settings.asked += u->change->withdraw;
	return STATUS_OK;
}

enum status rules_apply(const struct steer_change *change, int64_t now_ms, struct steer_result *r)
{
	static enum status (*const rules[])(const struct rule *u, struct steer_result *r) = {
		change_start, change_end, check_window, change_description, change_price, change_state, ask_for_units
	};
	struct steering was = r->settings.steering;
	const struct rule u = { .change = change,
				.was = was,
				.state = steering_state_at(&was, now_ms),
				.now_ms = now_ms,
				.has_started = !was.starts_ms || now_ms >= was.starts_ms };
	enum status s = STATUS_OK;
	r->changed = false;
	for (size_t i = 0; s == STATUS_OK && i < sizeof rules / sizeof rules[0]; i++)
		s = rules[i](&u, r);
	return s;
}
