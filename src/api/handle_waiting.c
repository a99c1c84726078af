/*
 * The waiting list of a sale, for one customer and unit: joining, the place, leaving. The hot pool answers all of it
 * but the order of a customer who was promoted: its pay_by is in MySQL, so the cold pool reads it.
 */
#include "api/handlers.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "sale/order_number.h"
#include "waiting/given.h"
#include "waiting/queue.h"

struct waiting_request {
	struct queue_call call;
	struct request *request;
	void (*submit)(struct queue_call *q, struct coupon *c);
};

/* Who is far from a unit asks less often. */
static int poll_after_s(int64_t position)
{
	static const struct {
		int64_t position;
		int seconds;
	} steps[] = { { 10, 2 }, { 100, 3 }, { 1000, 5 } };
	enum { FAR_S = 10 };
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		if (position <= steps[i].position)
			return steps[i].seconds;
	return FAR_S;
}

static enum status put_place(struct request *rq, const struct queue_call *q, enum status s)
{
	struct buf *body = response_object(rq);
	json_str(body, "state", STR("waiting"));
	json_int(body, "position", q->position);
	if (q->waiting)
		json_int(body, "waiting", q->waiting);
	json_end(body, '}');
	rq->response.retry_after_s = poll_after_s(q->position);
	return s;
}

/* number: empty while the order is being written. */
static enum status put_promoted(struct request *rq, struct str number, int64_t pay_by_ms)
{
	struct buf *body = response_object(rq);
	json_str(body, "state", STR("promoted"));
	if (number.n)
		json_str(body, "order", number);
	else
		rq->response.retry_after_s = 1;
	if (pay_by_ms)
		json_time(body, "pay_by", pay_by_ms);
	json_end(body, '}');
	return STATUS_OK;
}

static struct str order_of(const struct queue_call *q, char text[ORDER_NUMBER_TEXT])
{
	return order_number_text(text, q->coupon->id, q->segment, q->sequence);
}

/* Failures whose texts are about claims, and the sale's limit, which has the status of another one. */
static enum status explain(struct request *rq, const struct queue_call *q, enum status s)
{
	if (s == STATUS_LIMIT_REACHED && !q->sequence)
		return request_fail(rq, s, "a customer can have at most %lld %s of this sale",
				    (long long)q->coupon->limit, q->coupon->limit == 1 ? "unit" : "units");
	if (s == STATUS_OUTCOME_UNKNOWN)
		rq->response.detail = "the answer was lost: retry, a place on the waiting list stays yours";
	if (s == STATUS_NOT_REPLICATED)
		rq->response.detail = "the waiting list is not on enough servers yet: retry";
	if (s == STATUS_LIST_FULL)
		rq->response.retry_after_s = 30;
	return s;
}

static void on_joined(struct queue_call *q, enum status s)
{
	struct request *rq = container_of(q, struct waiting_request, call)->request;
	char text[ORDER_NUMBER_TEXT];
	if (s == STATUS_CREATED || s == STATUS_OK)
		s = put_place(rq, q, s);
	else if (s == STATUS_ALREADY_CLAIMED || s == STATUS_PROMOTED)
		s = put_promoted(rq, s == STATUS_PROMOTED ? STR("") : order_of(q, text), 0);
	request_finish(rq, explain(rq, q, s));
}

static void on_read(struct queue_call *q, enum status s)
{
	struct request *rq = container_of(q, struct waiting_request, call)->request;
	if (s == STATUS_OK)
		s = put_place(rq, q, s);
	else if (s == STATUS_PROMOTED)
		s = put_promoted(rq, STR(""), 0);
	else if (s == STATUS_ALREADY_CLAIMED)
		s = request_own(rq);
	request_finish(rq, explain(rq, q, s));
}

static void on_left(struct queue_call *q, enum status s)
{
	struct request *rq = container_of(q, struct waiting_request, call)->request;
	char text[ORDER_NUMBER_TEXT];
	if (s == STATUS_ALREADY_CLAIMED)
		s = request_fail(rq, STATUS_PROMOTED, "you have order %s: cancel it if you do not want the unit",
				 order_of(q, text).p);
	request_finish(rq, explain(rq, q, s));
}

static void on_coupon(void *context, enum status s, struct coupon *coupon)
{
	struct waiting_request *w = context;
	if (s == STATUS_OK)
		w->submit(&w->call, coupon);
	else if (s == STATUS_NO_SUCH_COUPON)
		request_finish(w->request, request_elsewhere(w->request, POOL_COLD));
	else
		request_finish(w->request, s);
}

static enum status read_unit(struct request *rq, int *unit)
{
	int64_t number = 1;
	struct str text = request_query(rq, STR("unit="));
	if (text.n && !parse_int(text, 1, UNITS_MAX, &number))
		return request_fail(rq, STATUS_BAD_FIELD, "unit must be a whole number from 1 to %d", UNITS_MAX);
	*unit = (int)number;
	return STATUS_OK;
}

static enum status submit(struct request *rq, void (*fn)(struct queue_call *q, struct coupon *c),
			  void (*done)(struct queue_call *q, enum status s))
{
	int unit;
	enum status s = read_unit(rq, &unit);
	if (s != STATUS_OK)
		return s;
	struct waiting_request *w = arena_alloc(rq->arena, sizeof *w);
	*w = (struct waiting_request){
		.request = rq,
		.submit = fn,
		.call = { .service = rq->service, .owner = { rq->token.user, unit }, .done = done },
	};
	coupon_find(rq->service, rq->part[PART_USER], rq->part[PART_COUPON], on_coupon, w);
	return STATUS_PENDING;
}

enum status handle_waiting_join(struct request *rq)
{
	enum status s = request_idempotency(rq);
	return s == STATUS_OK ? submit(rq, queue_join, on_joined) : s;
}

enum status handle_waiting_read(struct request *rq)
{
	return submit(rq, queue_position, on_read);
}

enum status handle_waiting_leave(struct request *rq)
{
	return submit(rq, queue_leave, on_left);
}

/* In the cold pool */

enum status handle_waiting_unknown(struct request *rq)
{
	struct given g;
	char text[ORDER_NUMBER_TEXT];
	struct owner owner = { .user = rq->token.user };
	enum status s = read_unit(rq, &owner.unit);
	if (s == STATUS_OK)
		s = given_read(rq->service, rq->arena, rq->part[PART_USER], rq->part[PART_COUPON], owner, &g);
	if (s == STATUS_NO_SUCH_ORDER)
		return handle_coupon_unknown(rq);
	if (s != STATUS_OK)
		return s;
	return put_promoted(rq, order_number_text(text, g.order.coupon, g.order.segment, g.order.sequence),
			    g.pay_by_ms);
}
