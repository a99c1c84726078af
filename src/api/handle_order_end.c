/*
 * Cancelling an order, and a payment provider's messages about it. Both need the order's row in MySQL, which the
 * drainers insert a fraction of a second after the claim. A request that comes earlier is set aside, and looks again
 * until the row is there.
 */
#include <time.h>

#include "account/request_key.h"
#include "api/handlers.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "lifecycle/message.h"
#include "lifecycle/transition.h"
#include "lifecycle/webhook.h"
#include "resale/release.h"
#include "sale/coupon.h"

/* Does what a request asks for. STATUS_PENDING: the order has no row yet; what: of the request. */
typedef enum status row_step(struct request *rq, void *what);

struct row_wait {
	struct loop_timer due;
	struct row_wait *next;
	struct request *request;
	row_step *step;
	void *what;
	int looks; /* how often it still looks */
};

/* Up to a second; in a worker as many requests, and of one order. */
enum { LOOK_MS = 100, LOOKS = 10, WAITS_MAX = 256, WAITS_OF_ORDER = 4 };

static bool has_room(const struct request *rq)
{
	int all = 0, same = 0;
	for (const struct row_wait *w = rq->worker->row_waits; w; w = w->next) {
		all++;
		same += str_eq(w->request->part[PART_ORDER], rq->part[PART_ORDER]);
	}
	return all < WAITS_MAX && same < WAITS_OF_ORDER;
}

static enum status not_yet(struct request *rq)
{
	return request_fail(rq, STATUS_BUSY, "the order is not in MySQL yet: retry");
}

static void on_look(struct loop_timer *t)
{
	struct row_wait *w = container_of(t, struct row_wait, due), **at = &w->request->worker->row_waits;
	enum status s = w->step(w->request, w->what);
	if (s == STATUS_PENDING && --w->looks) {
		loop_timer_set(w->request->service->loop, &w->due, LOOK_MS);
		return;
	}
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	request_finish(w->request, s == STATUS_PENDING ? not_yet(w->request) : s);
}

static enum status wait_for_row(struct request *rq, row_step *step, void *what)
{
	if (!has_room(rq))
		return not_yet(rq);
	struct row_wait *w = arena_alloc(rq->arena, sizeof *w), **all = &rq->worker->row_waits;
	*w = (struct row_wait){ { .fn = on_look }, *all, rq, step, what, LOOKS };
	*all = w;
	loop_timer_set(rq->service->loop, &w->due, LOOK_MS);
	request_set_aside(rq);
	return STATUS_PENDING;
}

static bool read_number(const struct request *rq, struct order_number *n)
{
	return order_number_read(rq->part[PART_ORDER], n);
}

/* Reads an order that has no row, for the user of a token. */
static enum status find(struct request *rq, const struct token *who, struct order *o)
{
	return order_parse(rq->part[PART_ORDER], o) ? order_read_for(rq->service, rq->arena, who, o)
						    : STATUS_NO_SUCH_ORDER;
}

static struct buf *order_object(struct request *rq)
{
	struct buf *body = response_object(rq);
	json_str(body, "order", rq->part[PART_ORDER]);
	return body;
}

/* Cancelling */

/* The owner is released before the answer, so that a claim after it is a new purchase. */
static enum status cancel(struct request *rq, void *what)
{
	struct cancellation *c = what;
	enum status s = order_cancel(rq->service, rq->arena, c);
	if (s != STATUS_OK)
		return s;
	if (c->now)
		release_order(rq->service, rq->arena, &c->order);
	struct buf *body = order_object(rq);
	json_str(body, "status", str_of(order_status_text(ORDER_CANCELLED)));
	json_end(body, '}');
	return s;
}

/* A seller must say why; a customer may, and needs no body. */
static enum status read_reason(struct request *rq, struct str *reason)
{
	bool must = rq->token.kind == KIND_SELLER, has = false;
	const struct json_field fields[] = { { "reason", JSON_TEXT, false, 0, 1000, reason, NULL, &has } };
	*reason = STR("");
	enum status s = rq->body.n ? request_read(rq, fields, 1) : STATUS_OK;
	if (s != STATUS_OK)
		return s;
	if (must && parse_is_blank(*reason))
		return request_fail(rq, rq->body.n ? STATUS_BAD_FIELD : STATUS_BAD_JSON,
				    "a seller must give a reason: {\"reason\": \"...\"}");
	const char *problem = has ? cancellation_reason_problem(*reason) : NULL;
	return problem ? request_fail(rq, STATUS_BAD_FIELD, "%s", problem) : STATUS_OK;
}

/* A cancellation may be repeated anyway, so one whose key was found is done again; only the key is not written again.
 */
static enum status read_key(struct request *rq, struct cancellation *c)
{
	struct request_key *k = arena_alloc(rq->arena, sizeof *k);
	enum status s = keyed_begin(rq, k);
	c->key = s == STATUS_OK ? k : NULL;
	return s == STATUS_REPEATED ? STATUS_OK : s;
}

enum status handle_order_cancel(struct request *rq)
{
	struct order o = { 0 };
	struct cancellation *c = arena_alloc(rq->arena, sizeof *c);
	c->user = rq->token.user;
	c->actor = rq->token.kind == KIND_SELLER ? ACTOR_SELLER : ACTOR_CUSTOMER;
	if (!read_number(rq, &c->order))
		return STATUS_NO_SUCH_ORDER;
	enum status s = read_reason(rq, &c->reason);
	if (s == STATUS_OK && c->actor == ACTOR_SELLER)
		s = read_key(rq, c);
	if (s == STATUS_OK)
		s = cancel(rq, c);
	if (s != STATUS_PENDING)
		return s;
	s = find(rq, &rq->token, &o);
	if (s != STATUS_OK)
		return s;
	if (o.status == ORDER_LOST || o.status == ORDER_FAILED)
		return request_fail(rq, STATUS_NO_SUCH_ORDER, "the order is %s: there is nothing to cancel",
				    order_status_text(o.status));
	return wait_for_row(rq, cancel, c);
}

/* A payment provider's message */

static enum status put_report(struct request *rq, const struct report *r)
{
	struct buf *body = order_object(rq);
	if (r->kind != REPORT_OTHER)
		json_str(body, "status", str_of(order_status_text(r->status)));
	json_str(body, "payment", str_of(r->kind == REPORT_OTHER ? "ignored" : r->outcome));
	json_end(body, '}');
	return STATUS_OK;
}

static enum status record(struct request *rq, void *what)
{
	struct report *r = what;
	enum status s = order_report(rq->service, rq->arena, r);
	return s == STATUS_OK ? put_report(rq, r) : s;
}

/*
 * For an order without a row. What was paid for an order that failed or is lost is recorded, too; a number that was
 * never given out is an error. The order is read as its seller would see it.
 */
static enum status record_later(struct request *rq, struct report *r)
{
	struct order o = { .coupon = r->order.coupon, .segment = r->order.segment, .sequence = r->order.sequence };
	struct coupon c;
	enum status s = order_read_coupon(rq->service, rq->arena, &o, &c);
	const struct token seller = { .user = o.seller, .kind = KIND_SELLER };
	if (s == STATUS_OK)
		s = find(rq, &seller, &o);
	if (s != STATUS_OK)
		return s;
	r->lacks_row = o.status == ORDER_LOST || o.status == ORDER_FAILED;
	return r->lacks_row ? record(rq, r) : wait_for_row(rq, record, r);
}

static enum status check_signature(struct request *rq)
{
	const struct webhook w = { rq->webhook_id, rq->webhook_timestamp, rq->webhook_signature, rq->body };
	if (!webhook_has_keys(rq->service->payment_keys))
		return request_fail(rq, STATUS_NOT_FOUND, "payment_key_file is not set, so no payments are taken");
	rq->response.detail = webhook_problem(rq->service->payment_keys, &w, time(NULL));
	return rq->response.detail ? STATUS_BAD_SIGNATURE : STATUS_OK;
}

enum status handle_order_payment(struct request *rq)
{
	struct report *r = arena_alloc(rq->arena, sizeof *r);
	enum status s = check_signature(rq);
	if (s != STATUS_OK)
		return s;
	*r = (struct report){ .actor = ACTOR_PROVIDER, .source = rq->webhook_id };
	if (!read_number(rq, &r->order))
		return STATUS_NO_SUCH_ORDER;
	s = message_read(rq->arena, rq->body, r, &rq->response.detail);
	if (s != STATUS_OK)
		return s;
	s = r->kind == REPORT_OTHER ? put_report(rq, r) : record(rq, r);
	return s == STATUS_PENDING ? record_later(rq, r) : s;
}
