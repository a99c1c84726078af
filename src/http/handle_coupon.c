/* One coupon: created and supplied in the cold pool, read in the hot one. */
#include "base/clock.h"
#include "base/disk.h"
#include "base/parse.h"
#include "catalog/availability.h"
#include "catalog/publish.h"
#include "catalog/supply.h"
#include "http/handlers.h"
#include "stock/nginx_marker.h"

/* Creating */

struct wish {
	struct str name, description, starts_at, ends_at;
	int64_t amount, stock, segments, pay_within;
	bool has_starts, has_ends, has_segments, has_pay;
};

static enum status read_wish(struct request *rq, struct wish *w)
{
	const struct json_field fields[] = {
		{ "name", JSON_TEXT, true, 1, 240, &w->name, NULL, NULL },
		{ "amount", JSON_INT, true, 1, 1000000000, NULL, &w->amount, NULL },
		{ "stock", JSON_INT, true, 0, 1000000000, NULL, &w->stock, NULL },
		{ "description", JSON_TEXT, true, 0, 2000, &w->description, NULL, NULL },
		{ "starts_at", JSON_TEXT, false, 1, 40, &w->starts_at, NULL, &w->has_starts },
		{ "ends_at", JSON_TEXT, false, 1, 40, &w->ends_at, NULL, &w->has_ends },
		{ "segments", JSON_INT, false, 1, rq->service->conf->segments_max, NULL, &w->segments,
		  &w->has_segments },
		{ "pay_within", JSON_INT, false, 1, 30 * 86400, NULL, &w->pay_within, &w->has_pay },
	};
	return request_read(rq, fields, sizeof fields / sizeof fields[0]);
}

static enum status read_time(struct request *rq, const char *field, struct str text, bool present, int64_t *ms)
{
	*ms = 0;
	if (present && !clock_parse(text, ms))
		return request_fail(rq, STATUS_BAD_FIELD, "%s must be an RFC 3339 date and time", field);
	return STATUS_OK;
}

/* By the clock that will end it, which may not be this host's. */
static enum status check_end(struct request *rq, const struct coupon *c)
{
	int64_t now_ms = 0;
	enum status s = c->ends_ms > c->starts_ms ? supply_time(rq->service, rq->arena, &now_ms) : STATUS_OK;
	if (s == STATUS_OK && (c->ends_ms <= c->starts_ms || c->ends_ms <= now_ms))
		s = request_fail(rq, STATUS_BAD_FIELD, "ends_at must be after starts_at and in the future");
	return s;
}

static enum status coupon_of_wish(struct request *rq, struct wish *w, struct coupon *c)
{
	const char *rule = parse_new_name(rq->arena, w->name);
	if (rule)
		return request_fail(rq, STATUS_BAD_FIELD, "name %s", rule);
	*c = (struct coupon){ .seller = rq->token.user,
			      .seller_name = rq->token.name,
			      .name = w->name,
			      .description = w->description,
			      .amount = w->amount,
			      .stock = w->stock,
			      .pay_within_s = w->has_pay ? w->pay_within : 0 };
	c->segments = publish_segments(rq->service->conf, w->amount, w->has_segments ? (int)w->segments : 0);
	enum status s = read_time(rq, "starts_at", w->starts_at, w->has_starts, &c->starts_ms);
	if (s == STATUS_OK)
		s = read_time(rq, "ends_at", w->ends_at, w->has_ends, &c->ends_ms);
	return s == STATUS_OK && w->has_ends ? check_end(rq, c) : s;
}

enum status handle_coupon_create(struct request *rq)
{
	struct wish w = { 0 };
	struct coupon c;
	struct refusal refusal = { 0 };
	if (!str_eq(rq->part[2], rq->token.name))
		return STATUS_UNAUTHORIZED;
	enum status s = read_wish(rq, &w);
	if (s == STATUS_OK)
		s = coupon_of_wish(rq, &w, &c);
	if (s == STATUS_OK)
		s = publish_create(rq->service, rq->arena, &c, &refusal);
	if (refusal.detail) {
		rq->response.detail = refusal.detail;
		rq->response.retry_after_s = refusal.retry_after_s;
	}
	if (s != STATUS_CREATED)
		return s;
	struct buf location;
	buf_init(&location, rq->arena);
	buf_puts(&location, "/api/users/");
	buf_percent(&location, c.seller_name);
	buf_puts(&location, "/coupons/");
	buf_percent(&location, c.name);
	response_header(rq, "Location", buf_str(&location));
	json_end(response_object(rq), '}');
	return s;
}

/* Adding units */

/*
 * A change that is made, and answered when nobody can be refused on an older word any more. Meanwhile the worker
 * answers others. So that one seller does not fill it, each has only so many under way.
 */
struct stock_change {
	struct loop_timer due;
	struct stock_change *next;
	struct request *request;
	struct supply_opening opening;
};

enum { CHANGES_MAX = 256, CHANGES_OF_SELLER = 8 };

static enum status check_room(struct request *rq)
{
	int all = 0, own = 0;
	for (const struct stock_change *c = rq->service->stock_changes; c; c = c->next) {
		all++;
		own += c->request->token.user == rq->token.user;
	}
	if (all >= CHANGES_MAX)
		return STATUS_BUSY;
	if (own < CHANGES_OF_SELLER)
		return STATUS_OK;
	rq->response.retry_after_s = 1;
	return request_fail(rq, STATUS_RATE_LIMITED, "%d changes of your stock are not answered yet, ask again later",
			    own);
}

/* From now on nobody is refused: neither by a worker, nor by nginx, whatever the clock does. */
static void open_sale(struct request *rq, const struct supply_opening *o)
{
	nginx_marker_remove(rq->service->conf, rq->part[2], rq->part[4]);
	supply_open(rq->service, rq->arena, o);
}

static void on_due(struct loop_timer *t)
{
	struct stock_change *c = (struct stock_change *)t; /* its first member */
	struct stock_change **at = &c->request->service->stock_changes;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	open_sale(c->request, &c->opening);
	request_finish(c->request, STATUS_OK);
}

static void answer_later(struct request *rq, const struct supply_opening *o)
{
	struct service *svc = rq->service;
	struct stock_change *c = arena_alloc(rq->arena, sizeof *c);
	*c = (struct stock_change){ .due = { .fn = on_due }, .next = svc->stock_changes, .request = rq, .opening = *o };
	svc->stock_changes = c;
	loop_timer_set(svc->loop, &c->due, o->wait_ms);
	request_set_aside(rq);
}

enum status handle_stock_add(struct request *rq)
{
	int64_t add, amount;
	struct supply_opening opening;
	const struct json_field fields[] = { { "add", JSON_INT, true, 1, 1000000000, NULL, &add, NULL } };
	if (!str_eq(rq->part[2], rq->token.name))
		return STATUS_FORBIDDEN;
	enum status s = request_read(rq, fields, 1);
	if (s == STATUS_OK)
		s = check_room(rq);
	if (s == STATUS_OK)
		s = supply_add(rq->service, rq->arena, rq->token.user, rq->part[4], add, &amount, &opening);
	if (s == STATUS_BAD_FIELD && !rq->response.detail)
		return request_fail(rq, s, "add would bring the amount above 1000000000");
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	json_int(body, "amount", amount);
	json_end(body, '}');
	if (!opening.wait_ms)
		return s;
	answer_later(rq, &opening);
	return STATUS_PENDING;
}

/* One coupon */

static const char *state_of(const struct coupon *c, const struct availability *st)
{
	if (c->ends_ms && st->now_ms >= c->ends_ms)
		return "ended";
	if (st->now_ms < c->starts_ms)
		return "upcoming";
	return st->left > 0 ? "open" : "sold-out";
}

/* What only the seller sees. */
static void put_segments(struct buf *body, const struct availability *st)
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

struct coupon_read {
	struct request *request;
	struct coupon *coupon;
};

/* A page that nginx cannot store would end its connection without an answer. Pages for a token are never stored. */
static void allow_caching(struct request *rq)
{
	const char *directory = rq->service->conf->page_cache;
	if (!rq->authorization.n && *directory && disk_problem(directory))
		response_header(rq, "X-Accel-Expires", STR("0"));
}

static void on_stock(void *context, enum status s, const struct availability *st)
{
	struct coupon_read *read = context;
	struct request *rq = read->request;
	struct coupon *c = read->coupon;
	if (s == STATUS_OK) {
		struct buf *body = response_object(rq);
		json_str(body, "seller", c->seller_name);
		json_str(body, "name", c->name);
		json_str(body, "description", c->description);
		json_int(body, "stock", c->stock);
		json_int(body, "amount", st->amount);
		json_int(body, "left", st->left);
		json_str(body, "state", str_of(state_of(c, st)));
		json_time(body, "starts_at", c->starts_ms);
		json_time(body, "ends_at", c->ends_ms);
		if (c->pay_within_s)
			json_int(body, "pay_within", c->pay_within_s);
		if (rq->token.user == c->seller)
			put_segments(body, st);
		json_end(body, '}');
		allow_caching(rq);
	} else if (s == STATUS_FENCED) {
		coupon_forget(rq->service->coupons, c);
	}
	request_finish(rq, s);
	coupon_drop(c);
}

static void on_found(void *context, enum status s, struct coupon *c)
{
	struct coupon_read *read = context;
	if (s == STATUS_OK) {
		read->coupon = coupon_hold(c);
		availability_read(read->request->service, c, read->request->token.user == c->seller, on_stock, read);
	} else if (s == STATUS_NO_SUCH_COUPON) {
		request_hand_over(read->request);
	} else {
		request_finish(read->request, s);
	}
}

enum status handle_coupon_read(struct request *rq)
{
	struct coupon_read *read = arena_alloc(rq->arena, sizeof *read);
	read->request = rq;
	coupon_find(rq->service, rq->part[2], rq->part[4], on_found, read);
	return STATUS_PENDING;
}
