/*
 * The settings of a sale: its seller reads and changes them. A change is decided in MySQL, and answered once every slot
 * has it. Until then the request is set aside, and tries again from time to time.
 */
#include "account/request_key.h"
#include "api/handlers.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "catalog/launch.h"
#include "host/log.h"
#include "sale/price.h"
#include "sale/sale_clock.h"
#include "steer/settings_json.h"
#include "steer/steer.h"

/* A request whose change is decided, and not answered yet. */
struct sale_change {
	struct loop_timer due;
	struct sale_change *next;
	struct request *request;
	struct steer_change change;
	struct steer_result result;
	struct request_key key;
	int64_t deadline_ms; /* by clock_mono_ms */
};

/* In a worker, and of these of one seller. */
enum { CHANGES_MAX = 64, CHANGES_OF_SELLER = 8, RETRY_MS = 50 };

static enum status check_seller(struct request *rq)
{
	if (str_eq(rq->part[PART_USER], rq->token.name))
		return STATUS_OK;
	return request_fail(rq, STATUS_FORBIDDEN, OTHER_SELLER);
}

/* Reading */

/* The state by the sale clock, which is needed only where the end may be past. */
static enum status read_state(struct request *rq, const struct sale_settings *s, enum sale_state *state)
{
	int64_t now_ms = 0;
	bool may_be_over = s->steering.ends_ms && s->steering.state < SALE_ENDED;
	enum status status = may_be_over ? sale_clock_read(rq->service, rq->arena, &now_ms) : STATUS_OK;
	*state = steering_state_at(&s->steering, now_ms);
	return status;
}

static struct buf *begin_settings(struct request *rq, const struct sale_settings *s, enum sale_state state)
{
	struct buf *body = response_object(rq);
	settings_put(body, s, state);
	response_header(rq, "ETag", settings_etag(rq->arena, s));
	return body;
}

enum status handle_sale_read(struct request *rq)
{
	struct sale_settings now;
	enum sale_state state;
	enum status s = check_seller(rq);
	if (s == STATUS_OK)
		s = settings_read(rq->service, rq->arena, rq->part[PART_USER], rq->part[PART_COUPON], &now);
	if (s == STATUS_OK)
		s = read_state(rq, &now, &state);
	if (s == STATUS_OK)
		json_end(begin_settings(rq, &now, state), '}');
	return s;
}

/* Changing */

static enum status read_time(struct request *rq, const char *field, struct str text, int64_t *ms)
{
	*ms = 0;
	if (!text.n || clock_parse(text, ms))
		return STATUS_OK;
	return request_fail(rq, STATUS_BAD_FIELD, "%s must be an RFC 3339 date and time, or \"\" for none", field);
}

static enum status read_change(struct request *rq, struct steer_change *c)
{
	struct str state, starts_at, ends_at;
	bool has_withdraw = false;
	const struct json_field fields[] = {
		{ "state", JSON_TEXT, false, 0, 20, &state, NULL, &c->has_state },
		{ "starts_at", JSON_TEXT, false, 0, 40, &starts_at, NULL, &c->has_starts },
		{ "ends_at", JSON_TEXT, false, 0, 40, &ends_at, NULL, &c->has_ends },
		{ "description", JSON_TEXT, false, 0, 2000, &c->description, NULL, &c->has_description },
		{ "price", JSON_INT, false, 0, PRICE_MAX, NULL, &c->price, &c->has_price },
		{ "withdraw", JSON_INT, false, 1, 1000000000, NULL, &c->withdraw, &has_withdraw },
	};
	enum status s = request_read(rq, fields, sizeof fields / sizeof fields[0]);
	if (s != STATUS_OK)
		return s;
	if (!c->has_state && !c->has_starts && !c->has_ends && !c->has_description && !c->has_price && !has_withdraw)
		return request_fail(rq, STATUS_BAD_FIELD,
				    "say what to change: state, starts_at, ends_at, description, price or withdraw");
	if (c->has_state && !sale_state_read(state, &c->state))
		return request_fail(rq, STATUS_BAD_FIELD, "state must be open, paused, ended or archived");
	if (c->has_starts)
		s = read_time(rq, "starts_at", starts_at, &c->starts_ms);
	if (s == STATUS_OK && c->has_ends)
		s = read_time(rq, "ends_at", ends_at, &c->ends_ms);
	return s;
}

/* What an answer needs that the settings do not say, in the row of the request's key. */
static enum status write_key(struct service *svc, struct arena *a, const struct steer_result *r, void *context)
{
	const struct sale_change *c = context;
	char *text = arena_printf(a, "%lld %lld %lld %lld", (long long)r->settings.id, (long long)r->asked_before,
				  (long long)r->settings.missed, (long long)r->withdraw);
	return request_key_write(svc, &c->key, str_of(text), 0);
}

/* Sets the result of a change that was decided by an earlier request with this key. */
static enum status read_key(struct request *rq, struct sale_change *c)
{
	struct steer_result *r = &c->result;
	int64_t *const numbers[] = { &r->settings.id, &r->asked_before, &r->settings.missed, &r->withdraw };
	struct str rest = c->key.answer, text;
	*r = (struct steer_result){ 0 };
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (!parse_split(&rest, ' ', &text) || !parse_int(text, 0, NUMBER_MAX, numbers[i])) {
			log_error_limited("request_key_unreadable", LOG_INT("seller", rq->token.user));
			return STATUS_INTERNAL;
		}
	return STATUS_OK;
}

static enum status check_room(struct request *rq)
{
	int all = 0, own = 0;
	for (const struct sale_change *c = rq->worker->sale_changes; c; c = c->next) {
		all++;
		own += c->request->token.user == rq->token.user;
	}
	if (all >= CHANGES_MAX)
		return STATUS_BUSY;
	if (own < CHANGES_OF_SELLER)
		return STATUS_OK;
	rq->response.retry_after_s = 1;
	return request_fail(rq, STATUS_RATE_LIMITED, "%d of your changes are not answered yet: retry later", own);
}

/* Who has changed what: one line for every change that was decided. */
static void log_change(const struct request *rq, const struct sale_change *c)
{
	const struct sale_settings *s = &c->result.settings;
	log_info("sale_changed", LOG_INT("coupon", s->id), LOG_TEXT("by", "seller"), LOG_INT("user", rq->token.user),
		 LOG_INT("version", s->steering.version), LOG_TEXT("state", sale_state_name(s->steering.state)),
		 LOG_INT("starts_ms", s->steering.starts_ms), LOG_INT("ends_ms", s->steering.ends_ms),
		 LOG_INT("price", s->price), LOG_INT("withdraw", c->result.withdraw), LOG_STR("request", rq->id));
}

static enum status answer(struct request *rq, const struct sale_change *c, const struct sale_settings *now)
{
	enum sale_state state;
	read_state(rq, now, &state); /* without the clock, the state that was set */
	struct buf *body = begin_settings(rq, now, state);
	if (c->result.withdraw)
		json_int(body, "withdrew", steer_withdrew(&c->result, now));
	json_end(body, '}');
	return STATUS_OK;
}

/* The change is decided, whatever happens from here on. */
static enum status explain(struct request *rq, const struct sale_change *c, enum status s)
{
	if (s == STATUS_FENCED)
		return request_fail(rq, s,
				    "the change is decided, and takes effect once an operator has recovered this sale");
	return request_fail(
		rq, STATUS_BUSY, "the change is decided, and takes effect as soon as every server answers: %s",
		c->result.withdraw && !c->key.key.n ? "GET this path, until it is not pending" : "repeat the request");
}

/* STATUS_BUSY: not every server has the change yet. */
static enum status finish(struct request *rq, const struct sale_change *c)
{
	struct sale_settings now;
	enum status s = settings_read_id(rq->service, rq->arena, c->result.settings.id, &now);
	if (s == STATUS_OK)
		s = steer_finish_within(rq->service, rq->arena, &now, 0);
	if (s == STATUS_OK)
		s = settings_read_id(rq->service, rq->arena, now.id, &now);
	return s == STATUS_OK ? answer(rq, c, &now) : s;
}

static void on_due(struct loop_timer *t)
{
	struct sale_change *c = container_of(t, struct sale_change, due);
	struct sale_change **at = &c->request->worker->sale_changes;
	enum status s = finish(c->request, c);
	if (s == STATUS_BUSY && clock_mono_ms() < c->deadline_ms) {
		loop_timer_set(c->request->service->loop, &c->due, RETRY_MS);
		return;
	}
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	request_finish(c->request, s == STATUS_OK ? s : explain(c->request, c, s));
}

static enum status finish_later(struct request *rq, struct sale_change *c)
{
	c->due.fn = on_due;
	c->request = rq;
	c->deadline_ms = clock_mono_ms() + STEER_PATIENCE_MS;
	c->next = rq->worker->sale_changes;
	rq->worker->sale_changes = c;
	loop_timer_set(rq->service->loop, &c->due, RETRY_MS);
	request_set_aside(rq);
	return STATUS_PENDING;
}

/* Decides the change, or finds that it was decided before. */
static enum status decide(struct request *rq, struct sale_change *c)
{
	enum status s = keyed_begin(rq, &c->key);
	if (s == STATUS_OK)
		s = steer_apply(rq->service, rq->arena, &c->change, &c->result);
	if (s == STATUS_OK && c->result.changed)
		log_change(rq, c);
	if (s == STATUS_REPEATED || keyed_was_done(rq, &c->key, s))
		return read_key(rq, c);
	if (s != STATUS_OK && !rq->response.detail)
		rq->response.detail = c->result.detail;
	return s;
}

enum status handle_sale_change(struct request *rq)
{
	struct sale_change *c = arena_alloc(rq->arena, sizeof *c);
	*c = (struct sale_change){ .change = { .seller_name = rq->part[PART_USER],
					       .name = rq->part[PART_COUPON],
					       .if_match = rq->if_match,
					       .also = write_key,
					       .context = c } };
	enum status s = check_seller(rq);
	if (s == STATUS_OK)
		s = read_change(rq, &c->change);
	if (s == STATUS_OK)
		s = request_if_match(rq);
	if (s == STATUS_OK)
		s = check_room(rq);
	if (s == STATUS_OK)
		s = decide(rq, c);
	if (s != STATUS_OK)
		return s;
	s = finish(rq, c);
	if (s == STATUS_BUSY)
		return finish_later(rq, c);
	return s == STATUS_OK ? s : explain(rq, c, s);
}

/* The page of a coupon that Redis does not have */

/* An archived sale has no slots: MySQL has all that its page shows. */
static enum status read_archived(struct request *rq)
{
	struct sale_settings now;
	enum status s = settings_read(rq->service, rq->arena, rq->part[PART_USER], rq->part[PART_COUPON], &now);
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	archived_put(body, &now);
	json_end(body, '}');
	return STATUS_OK;
}

enum status handle_coupon_read_unknown(struct request *rq)
{
	enum status s = launch_heal(rq->service, rq->arena, rq->part[PART_USER], rq->part[PART_COUPON]);
	return s == STATUS_OK ? request_elsewhere(rq, POOL_HOT) : s == STATUS_ENDED ? read_archived(rq) : s;
}
