/*
 * Claims. POST .../claims has a status for each outcome, and may name the unit. The compat PATCH claims unit 1, and
 * answers 201, or 204 with the reason in a header.
 */
#include "api/handlers.h"
#include "base/alloc.h"
#include "catalog/launch.h"
#include "sale/order_number.h"
#include "stock/claim.h"

struct claim_request {
	struct claim claim;
	struct request *request;
	bool is_compat;
};

static enum status put_order(struct request *rq, struct str number, enum status s)
{
	struct buf *body = response_object(rq);
	json_str(body, "order", number);
	json_end(body, '}');
	if (s == STATUS_CREATED) {
		buf_put(&rq->response.headers, STR("Location: /api/orders/"));
		buf_put(&rq->response.headers, number);
		buf_put(&rq->response.headers, STR("\r\n"));
	}
	return s;
}

/* Whether compat clients get this outcome as a 204. */
static bool is_compat_204(enum status s)
{
	return s == STATUS_ALREADY_CLAIMED || s == STATUS_SOLD_OUT || s == STATUS_ALL_HELD ||
	       s == STATUS_WAITING_LIST || s == STATUS_LIMIT_REACHED || s == STATUS_NOT_STARTED || s == STATUS_ENDED ||
	       s == STATUS_PAUSED || s == STATUS_NO_SUCH_COUPON;
}

static enum status compat_204(struct request *rq, enum status s)
{
	response_header(rq, "Seckill-Result", str_of(status_code(s)));
	return STATUS_NO_CONTENT;
}

static int seconds_until_start(int64_t ms)
{
	return ms < INT32_MAX * 1000LL ? (int)((ms + 999) / 1000) : INT32_MAX;
}

/* An order expires a while after it was due. Not long, because a customer may cancel an order at any moment. */
static int seconds_until_return(const struct request *rq, int64_t ms)
{
	enum { LEAST = 1, UNKNOWN = 5, MOST = 10 };
	if (ms == INT64_MAX)
		return UNKNOWN;
	int64_t s = (ms + 999) / 1000 + rq->service->conf->pay_grace_s;
	return s < LEAST ? LEAST : s > MOST ? MOST : (int)s;
}

/* Two limits have this status: the sale's, and that of orders that ended. */
static void explain_limit(struct request *rq, const struct claim *c)
{
	if (c->unit > c->coupon->limit)
		request_fail(rq, STATUS_LIMIT_REACHED, "a customer can have at most %lld %s of this sale",
			     (long long)c->coupon->limit, c->coupon->limit == 1 ? "unit" : "units");
}

static void on_claimed(struct claim *c, enum status s)
{
	struct claim_request *a = container_of(c, struct claim_request, claim);
	struct request *rq = a->request;
	char text[ORDER_NUMBER_TEXT];
	struct str number = STR("");
	if (s == STATUS_NO_SUCH_COUPON) {
		request_finish(rq, request_elsewhere(rq, POOL_COLD));
		return;
	}
	if (s == STATUS_CREATED || s == STATUS_ALREADY_CLAIMED)
		number = order_number_text(text, c->coupon->id, c->segment, c->sequence);
	if (s == STATUS_NOT_STARTED)
		rq->response.retry_after_s = seconds_until_start(c->wait_ms);
	if (s == STATUS_ALL_HELD)
		rq->response.retry_after_s = seconds_until_return(rq, c->wait_ms);
	if (s == STATUS_LIMIT_REACHED)
		explain_limit(rq, c);
	if (a->is_compat && s == STATUS_ALREADY_CLAIMED)
		response_header(rq, "Seckill-Order", number);
	if (a->is_compat && is_compat_204(s))
		s = compat_204(rq, s);
	else if (number.n)
		s = put_order(rq, number, s);
	request_finish(rq, s);
}

static void on_coupon(void *context, enum status s, struct coupon *coupon)
{
	struct claim_request *a = context;
	if (s == STATUS_OK)
		claim_submit(&a->claim, coupon);
	else if (s == STATUS_NO_SUCH_COUPON)
		request_finish(a->request, request_elsewhere(a->request, POOL_COLD));
	else
		request_finish(a->request, s);
}

/* A claim needs no body. */
static enum status read_unit(struct request *rq, int64_t *unit)
{
	const struct json_field fields[] = { { "unit", JSON_INT, false, 1, UNITS_MAX, NULL, unit, NULL } };
	*unit = 1;
	return rq->body.n ? request_read(rq, fields, 1) : STATUS_OK;
}

/*
 * The fields of draft-ietf-httpapi-ratelimit-headers-11. A customer who claims once or twice needs none, so they are
 * sent from half of the limit on. A second of the limit is over within a second, whenever it began.
 */
static void put_rate(struct request *rq, int limit, int rest)
{
	if (rest * 2 <= limit)
		buf_printf(&rq->response.headers,
			   "RateLimit-Policy: \"claims\";q=%d;w=1\r\nRateLimit: \"claims\";r=%d;t=1\r\n", limit, rest);
}

static enum status check_rate(struct request *rq)
{
	const struct service *svc = rq->service;
	int limit = svc->conf->claims_per_second, rest;
	if (!svc->claim_rates)
		return STATUS_OK;
	bool may = rate_take(svc->claim_rates, (uint64_t)rq->token.user, limit, &rest);
	put_rate(rq, limit, rest);
	if (may)
		return STATUS_OK;
	stats_add(svc->stats, COUNT_claims_total__rate_limited, 1);
	rq->response.policy = "claims";
	rq->response.retry_after_s = 1;
	return request_fail(rq, STATUS_RATE_LIMITED, "you may claim %d times a second: retry after a second", limit);
}

static enum status submit(struct request *rq, bool is_compat)
{
	int64_t unit = 1;
	enum status s = request_idempotency(rq);
	if (s == STATUS_OK && !is_compat)
		s = read_unit(rq, &unit);
	if (s == STATUS_OK)
		s = check_rate(rq);
	if (s != STATUS_OK)
		return s;
	struct claim_request *a = arena_alloc(rq->arena, sizeof *a);
	*a = (struct claim_request){
		.request = rq,
		.is_compat = is_compat,
		.claim = { .service = rq->service, .user = rq->token.user, .unit = (int)unit, .done = on_claimed }
	};
	struct coupon *coupon = coupon_cached(rq->service->coupons, rq->part[PART_USER], rq->part[PART_COUPON]);
	if (coupon)
		claim_submit(&a->claim, coupon);
	else
		coupon_find(rq->service, rq->part[PART_USER], rq->part[PART_COUPON], on_coupon, a);
	return STATUS_PENDING;
}

enum status handle_claim(struct request *rq)
{
	return submit(rq, false);
}

enum status handle_claim_compat(struct request *rq)
{
	return submit(rq, true);
}

enum status handle_coupon_unknown(struct request *rq)
{
	enum status s = launch_heal(rq->service, rq->arena, rq->part[PART_USER], rq->part[PART_COUPON]);
	return s == STATUS_OK ? request_elsewhere(rq, POOL_HOT) : s;
}

enum status handle_claim_compat_unknown(struct request *rq)
{
	enum status s = handle_coupon_unknown(rq);
	return is_compat_204(s) ? compat_204(rq, s) : s;
}
