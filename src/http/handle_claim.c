/* The claim, said in two ways: the course's PATCH and our POST .../claims. */
#include "catalog/publish.h"
#include "http/handlers.h"
#include "http/request.h"
#include "sale/order_number.h"
#include "stock/claim.h"

struct asked {
	struct claim claim;
	struct request *request;
	enum status (*say)(struct asked *a, enum status s);
};

static enum status say(struct asked *a, enum status s)
{
	struct request *rq = a->request;
	char no[ORDER_NUMBER_TEXT];
	if (s != STATUS_CREATED && s != STATUS_ALREADY_CLAIMED)
		return s;
	struct str order = order_number_text(no, a->claim.coupon->id, a->claim.segment, a->claim.sequence);
	struct buf *body = response_object(rq);
	json_str(body, "order", order);
	json_end(body, '}');
	if (s == STATUS_CREATED) {
		buf_put(&rq->response.headers, STR("Location: /api/orders/"));
		buf_put(&rq->response.headers, order);
		buf_put(&rq->response.headers, STR("\r\n"));
	}
	return s;
}

/* The course knows 201 and 204; the reason of a 204 is in a header. */
static bool is_compat_204(enum status s)
{
	return s == STATUS_ALREADY_CLAIMED || s == STATUS_SOLD_OUT || s == STATUS_NOT_STARTED || s == STATUS_ENDED ||
	       s == STATUS_PAUSED || s == STATUS_NO_SUCH_COUPON;
}

static enum status not_won(struct request *rq, enum status s)
{
	response_header(rq, "Seckill-Result", str_of(status_code(s)));
	return STATUS_NO_CONTENT;
}

static enum status say_compat(struct asked *a, enum status s)
{
	if (s == STATUS_ALREADY_CLAIMED) {
		char no[ORDER_NUMBER_TEXT];
		response_header(a->request, "Seckill-Order",
				order_number_text(no, a->claim.coupon->id, a->claim.segment, a->claim.sequence));
	}
	return is_compat_204(s) ? not_won(a->request, s) : say(a, s);
}

static void on_claimed(struct claim *c, enum status s)
{
	struct asked *a = c->context;
	if (s == STATUS_NOT_STARTED)
		a->request->response.retry_after_s =
			c->wait_ms < INT32_MAX * 1000LL ? (int)((c->wait_ms + 999) / 1000) : INT32_MAX;
	request_finish(a->request, a->say(a, s));
}

static void on_found(void *context, enum status s, struct coupon *coupon)
{
	struct asked *a = context;
	if (s == STATUS_OK)
		claim_submit(&a->claim, coupon);
	else if (s == STATUS_NO_SUCH_COUPON)
		request_hand_over(a->request);
	else
		request_finish(a->request, s);
}

static enum status ask(struct request *rq, enum status (*how)(struct asked *, enum status))
{
	enum status s = request_idempotency(rq);
	if (s != STATUS_OK)
		return s;
	struct asked *a = arena_alloc(rq->arena, sizeof *a);
	*a = (struct asked){ .request = rq,
			     .say = how,
			     .claim = { .service = rq->service, .user = rq->token.user, .done = on_claimed } };
	a->claim.context = a;
	coupon_find(rq->service, rq->part[2], rq->part[4], on_found, a);
	return STATUS_PENDING;
}

enum status handle_claim(struct request *rq)
{
	return ask(rq, say);
}

enum status handle_claim_compat(struct request *rq)
{
	return ask(rq, say_compat);
}

enum status handle_coupon_unknown(struct request *rq)
{
	enum status s = publish_heal(rq->service, rq->arena, rq->part[2], rq->part[4]);
	if (s != STATUS_OK)
		return s;
	rq->response.detail = "@hot";
	return STATUS_ELSEWHERE;
}

enum status handle_claim_compat_unknown(struct request *rq)
{
	enum status s = handle_coupon_unknown(rq);
	return is_compat_204(s) ? not_won(rq, s) : s;
}
