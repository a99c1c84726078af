/* Routes of one coupon: creating it and adding units in the cold pool, reading it in the hot pool. */
#include "account/request_key.h"
#include "api/handlers.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/parse.h"
#include "page/coupon_json.h"
#include "page/coupon_view.h"
#include "catalog/launch.h"
#include "catalog/supply.h"
#include "sale/price.h"
#include "sale/sale_clock.h"
#include "stock/nginx_marker.h"

/* Creating */

struct create_request {
	struct str name, description, starts_at, ends_at, currency, checkout_url;
	int64_t amount, stock, segments, pay_within, price, late_payment, limit, waiting_list;
	bool has_starts, has_ends, has_segments, has_currency, has_checkout;
};

static enum status read_create(struct request *rq, struct create_request *w)
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
		{ "pay_within", JSON_INT, false, 1, 30 * 86400, NULL, &w->pay_within, NULL },
		{ "price", JSON_INT, false, 0, PRICE_MAX, NULL, &w->price, NULL },
		{ "currency", JSON_TEXT, false, 0, 60, &w->currency, NULL, &w->has_currency },
		{ "checkout_url", JSON_TEXT, false, 0, CHECKOUT_URL_MAX, &w->checkout_url, NULL, &w->has_checkout },
		{ "late_payment", JSON_BOOL, false, 0, 1, NULL, &w->late_payment, NULL },
		{ "limit", JSON_INT, false, 1, UNITS_MAX, NULL, &w->limit, NULL },
		{ "waiting_list", JSON_BOOL, false, 0, 1, NULL, &w->waiting_list, NULL },
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

/* Compares with the sale clock, because this host's clock may differ. */
static enum status check_end(struct request *rq, const struct coupon *c)
{
	int64_t now_ms = 0;
	enum status s = c->ends_ms > c->starts_ms ? sale_clock_read(rq->service, rq->arena, &now_ms) : STATUS_OK;
	if (s == STATUS_OK && (c->ends_ms <= c->starts_ms || c->ends_ms <= now_ms))
		s = request_fail(rq, STATUS_BAD_FIELD, "ends_at must be after starts_at and in the future");
	return s;
}

static enum status check_price(struct request *rq, const struct create_request *w)
{
	if (w->has_currency && !price_is_currency(w->currency))
		return request_fail(rq, STATUS_BAD_FIELD, "currency " PRICE_CURRENCY_RULE);
	if (w->price && !w->has_currency)
		return request_fail(rq, STATUS_BAD_FIELD, "currency is missing: it " PRICE_CURRENCY_RULE);
	if (w->has_checkout && !price_is_checkout_url(w->checkout_url))
		return request_fail(rq, STATUS_BAD_FIELD, "checkout_url " PRICE_CHECKOUT_RULE);
	return STATUS_OK;
}

static enum status make_coupon(struct request *rq, const struct create_request *w, struct coupon *c)
{
	const char *rule = parse_new_name(rq->arena, w->name);
	if (rule)
		return request_fail(rq, STATUS_BAD_FIELD, "name %s", rule);
	*c = (struct coupon){ .seller = rq->token.user,
			      .seller_name = rq->token.name,
			      .name = w->name,
			      .description = w->description,
			      .amount = w->amount,
			      .face_value = w->stock,
			      .pay_within_s = w->pay_within,
			      .price = w->price,
			      .currency = w->currency,
			      .checkout_url = w->checkout_url,
			      .late_payment = w->late_payment,
			      .limit = w->limit,
			      .waits = w->waiting_list };
	c->segments = launch_segments(rq->service, w->amount, w->has_segments ? (int)w->segments : 0);
	if (!c->segments)
		return STATUS_UNAVAILABLE;
	enum status s = read_time(rq, "starts_at", w->starts_at, w->has_starts, &c->starts_ms);
	if (s == STATUS_OK)
		s = read_time(rq, "ends_at", w->ends_at, w->has_ends, &c->ends_ms);
	return s == STATUS_OK && w->has_ends ? check_end(rq, c) : s;
}

static void put_location(struct request *rq, const struct coupon *c)
{
	struct buf location;
	buf_init(&location, rq->arena);
	buf_puts(&location, "/api/users/");
	buf_percent(&location, c->seller_name);
	buf_puts(&location, "/coupons/");
	buf_percent(&location, c->name);
	response_header(rq, "Location", buf_str(&location));
}

static enum status create(struct request *rq, struct create_request *w, struct coupon *c, const struct request_key *key)
{
	struct refusal refusal = { 0 };
	enum status s = read_create(rq, w);
	if (s == STATUS_OK)
		s = check_price(rq, w);
	if (s == STATUS_OK)
		s = make_coupon(rq, w, c);
	if (s == STATUS_OK)
		s = launch_create(rq->service, rq->arena, c, key, &refusal);
	if (refusal.detail) {
		rq->response.detail = refusal.detail;
		rq->response.retry_after_s = refusal.retry_after_s;
	}
	return s;
}

/* The request was carried out before: whether it would be allowed now does not matter. */
static enum status create_again(struct request *rq, struct create_request *w, struct coupon *c)
{
	enum status s = read_create(rq, w);
	*c = (struct coupon){ .seller_name = rq->token.name, .name = w->name };
	return s == STATUS_OK ? launch_repeat(rq->service, rq->arena, c->seller_name, c->name) : s;
}

enum status handle_coupon_create(struct request *rq)
{
	struct create_request w = { .late_payment = 1, .limit = 1 };
	struct coupon c;
	struct request_key key;
	if (!str_eq(rq->part[PART_USER], rq->token.name))
		return request_fail(rq, STATUS_UNAUTHORIZED, OTHER_SELLER);
	enum status s = keyed_begin(rq, &key);
	if (s == STATUS_OK)
		s = create(rq, &w, &c, &key);
	if (s == STATUS_REPEATED || keyed_was_done(rq, &key, s))
		s = create_again(rq, &w, &c);
	if (s != STATUS_CREATED)
		return s;
	put_location(rq, &c);
	json_end(response_object(rq), '}');
	return s;
}

/* Adding units */

/*
 * A request that has added units, and is not answered yet. The seller is answered once no worker and no nginx can
 * answer "sold out" any more; meanwhile the worker serves other requests. A seller may have only a few such requests in
 * a worker, so that one seller cannot use up all places.
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
	for (const struct stock_change *c = rq->worker->stock_changes; c; c = c->next) {
		all++;
		own += c->request->token.user == rq->token.user;
	}
	if (all >= CHANGES_MAX)
		return STATUS_BUSY;
	if (own < CHANGES_OF_SELLER)
		return STATUS_OK;
	rq->response.retry_after_s = 1;
	return request_fail(rq, STATUS_RATE_LIMITED,
			    "%d of your requests for more units are not answered yet: retry later", own);
}

/*
 * To be called once the wait is over: afterwards neither a worker nor nginx answers "sold out", even if clocks are set.
 */
static void open_sale(struct request *rq, const struct supply_opening *o)
{
	nginx_marker_remove(rq->service->conf, rq->part[PART_USER], rq->part[PART_COUPON]);
	supply_open(rq->service, rq->arena, o);
}

static void on_due(struct loop_timer *t)
{
	struct stock_change *c = container_of(t, struct stock_change, due);
	struct stock_change **at = &c->request->worker->stock_changes;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	open_sale(c->request, &c->opening);
	request_finish(c->request, STATUS_OK);
}

static void answer_later(struct request *rq, const struct supply_opening *o)
{
	struct stock_change **all = &rq->worker->stock_changes;
	struct stock_change *c = arena_alloc(rq->arena, sizeof *c);
	*c = (struct stock_change){ .due = { .fn = on_due }, .next = *all, .request = rq, .opening = *o };
	*all = c;
	loop_timer_set(rq->service->loop, &c->due, o->wait_ms);
	request_set_aside(rq);
}

enum status handle_stock_add(struct request *rq)
{
	struct request_key key = { 0 };
	struct supply_request supply = {
		.seller = rq->token.user, .name = rq->part[PART_COUPON], .if_match = rq->if_match, .key = &key
	};
	struct supply_opening opening;
	const struct json_field fields[] = { { "add", JSON_INT, true, 1, 1000000000, NULL, &supply.units, NULL } };
	if (!str_eq(rq->part[PART_USER], rq->token.name))
		return request_fail(rq, STATUS_FORBIDDEN, OTHER_SELLER);
	enum status s = request_read(rq, fields, 1);
	if (s == STATUS_OK)
		s = request_if_match(rq);
	if (s == STATUS_OK)
		s = check_room(rq);
	if (s == STATUS_OK)
		s = keyed_begin(rq, &key);
	if (s == STATUS_OK)
		s = supply_add(rq->service, rq->arena, &supply, &opening);
	if (s == STATUS_REPEATED || keyed_was_done(rq, &key, s))
		s = supply_repeat(rq->service, rq->arena, &supply, &opening);
	if (s == STATUS_BAD_FIELD && !rq->response.detail)
		return request_fail(rq, s, "add must not bring the amount above 1000000000");
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	json_int(body, "amount", opening.amount);
	json_end(body, '}');
	response_header(rq, "ETag", opening.etag);
	if (!opening.wait_ms)
		return s;
	answer_later(rq, &opening);
	return STATUS_PENDING;
}

/* One coupon */

/*
 * Forbids nginx to store a page that it could not write, because it would close the connection. nginx never stores a
 * page for a request with a token.
 */
static void check_page_cache(struct request *rq)
{
	const char *directory = rq->service->conf->page_cache;
	if (!rq->authorization.n && *directory && disk_problem(directory))
		response_header(rq, "X-Accel-Expires", STR("0"));
}

static void on_view(void *context, enum status s, struct coupon *c, const struct availability *st)
{
	struct request *rq = context;
	if (s == STATUS_OK) {
		struct buf *body = response_object(rq);
		coupon_put(body, c, st);
		if (rq->token.user == c->seller)
			coupon_put_segments(body, st);
		json_end(body, '}');
		check_page_cache(rq);
	}
	request_finish(rq, s == STATUS_NO_SUCH_COUPON ? request_elsewhere(rq, POOL_COLD) : s);
}

static void on_coupon(void *context, enum status s, struct coupon *c)
{
	struct request *rq = context;
	if (s == STATUS_OK)
		coupon_view_read(rq->service, c, rq->token.user == c->seller ? AVAILABILITY_LISTS : AVAILABILITY_STATE,
				 on_view, rq);
	else
		request_finish(rq, s == STATUS_NO_SUCH_COUPON ? request_elsewhere(rq, POOL_COLD) : s);
}

enum status handle_coupon_read(struct request *rq)
{
	coupon_find(rq->service, rq->part[PART_USER], rq->part[PART_COUPON], on_coupon, rq);
	return STATUS_PENDING;
}
