#include "lifecycle/transition.h"

#include <stdlib.h>

#include "base/parse.h"
#include "lifecycle/attempt.h"
#include "lifecycle/ending.h"
#include "lifecycle/payment.h"

/* Cancelling */

struct cancelling {
	struct cancellation *request;
	int64_t now_ms;
	struct order_row row;
	struct terms terms;
};

static bool may_cancel(const struct cancelling *g)
{
	const struct cancellation *c = g->request;
	return c->actor == ACTOR_OPERATOR || (c->actor == ACTOR_CUSTOMER && c->user == g->row.user) ||
	       (c->actor == ACTOR_SELLER && c->user == g->terms.seller);
}

const char *cancellation_reason_problem(struct str reason)
{
	enum { CHARACTERS_MAX = 250 };
	size_t characters = parse_line(reason);
	return characters >= 1 && characters <= CHARACTERS_MAX && !parse_is_blank(reason)
		       ? NULL
		       : "a reason has 1 to 250 characters of UTF-8, no control characters, and is not blank";
}

/* A payment that paid the order is to be refunded from now on. */
static enum status write_cancelled(struct service *svc, struct arena *a, const struct cancelling *g)
{
	const struct cancellation *c = g->request;
	const struct ending_order order = { c->order.sequence, g->row.pay_by_ms, c->order.segment };
	const struct ending e = { .coupon = c->order.coupon,
				  .at_ms = g->now_ms,
				  .from = g->row.status,
				  .to = ORDER_CANCELLED,
				  .was_final = g->row.status != ORDER_PENDING && g->terms.must_pay,
				  .kind = EVENT_CANCELLED,
				  .actor = c->actor,
				  .reason = c->reason,
				  .orders = &order,
				  .count = 1 };
	if (g->row.status == ORDER_PAID && payment_release(svc, &c->order))
		return STATUS_INTERNAL;
	return ending_write(svc, a, &e) ? STATUS_INTERNAL : STATUS_OK;
}

static enum status cancel_once(struct service *svc, struct arena *a, void *context)
{
	struct cancelling *g = context;
	struct cancellation *c = g->request;
	enum status s = order_row_lock(svc, a, &c->order, &g->row);
	if (s == STATUS_OK)
		s = terms_read(svc, a, c->order.coupon, &g->terms);
	if (s != STATUS_OK)
		return s;
	if (!may_cancel(g))
		return STATUS_NO_SUCH_ORDER;
	c->customer = g->row.user;
	c->now = false;
	if (g->row.status == ORDER_CANCELLED)
		return request_key_write(svc, c->key, STR(""), 0);
	if (g->row.status == ORDER_EXPIRED)
		return STATUS_ALREADY_EXPIRED;
	if (g->row.status == ORDER_PAID && c->actor == ACTOR_CUSTOMER)
		return STATUS_ALREADY_PAID;
	c->now = true;
	s = write_cancelled(svc, a, g);
	return s == STATUS_OK ? request_key_write(svc, c->key, STR(""), 0) : s;
}

enum status order_cancel(struct service *svc, struct arena *a, struct cancellation *c)
{
	struct cancelling g = { .request = c, .now_ms = attempt_clock_ms(svc, a) };
	enum status s = attempt(svc, a, "cancel", cancel_once, &g);
	stats_add(svc->stats, COUNT_order_changes_total__cancelled, s == STATUS_OK && c->now);
	return s;
}

/* Expiring */

struct expiring {
	struct expiry *request;
	struct ending_order all[EXPIRE_MAX], due[EXPIRE_MAX],
		gone[EXPIRE_MAX]; /* gone: not in unpaid_orders any more */
	int due_count, gone_count;
};

static int by_key(const void *left, const void *right)
{
	const struct ending_order *a = left, *b = right;
	if (a->segment != b->segment)
		return a->segment < b->segment ? -1 : 1;
	return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

/* The row of an order among rows that are in the order of their key, as the orders are. Moves *i there. */
static const struct db_value *row_of(const struct db_rows *rows, const struct ending_order *o, int *i)
{
	for (; *i < rows->count; ++*i) {
		const struct db_value *v = db_row(rows, *i);
		const struct ending_order at = { .segment = (int)v[0].number, .sequence = v[1].number };
		int order = by_key(&at, o);
		if (order >= 0)
			return order == 0 ? v : NULL;
	}
	return NULL;
}

/* An order is due when it is pending and its time is over; without a pending order, its row is stale. */
static void sort_out(const struct service *svc, const struct db_rows *rows, struct expiring *g)
{
	struct expiry *e = g->request;
	int64_t grace_ms = (int64_t)svc->conf->pay_grace_s * 1000;
	g->due_count = g->gone_count = 0;
	for (int i = 0, at = 0; i < e->count; i++) {
		const struct ending_order *o = &g->all[i];
		const struct db_value *v = row_of(rows, o, &at);
		bool waits = v && v[2].number == ORDER_PENDING && v[3].number == o->pay_by_ms;
		if (waits && o->pay_by_ms + grace_ms <= e->now_ms)
			g->due[g->due_count++] = *o;
		else if (!waits)
			g->gone[g->gone_count++] = *o;
	}
	e->expired = g->due_count;
	e->stale = g->gone_count;
}

static enum status expire_once(struct service *svc, struct arena *a, void *context)
{
	struct expiring *g = context;
	const struct expiry *e = g->request;
	struct db_rows rows;
	const struct ending all = { .coupon = e->coupon, .orders = g->all, .count = e->count };
	if (ending_lock(svc, a, &all, &rows))
		return STATUS_INTERNAL;
	sort_out(svc, &rows, g);
	const struct ending stale = { .coupon = e->coupon, .orders = g->gone, .count = g->gone_count };
	const struct ending due = { .coupon = e->coupon,
				    .at_ms = e->now_ms,
				    .from = ORDER_PENDING,
				    .to = ORDER_EXPIRED,
				    .kind = EVENT_EXPIRED,
				    .actor = ACTOR_SERVICE,
				    .orders = g->due,
				    .count = g->due_count };
	if ((stale.count && ending_forget_unpaid(svc, a, &stale)) || (due.count && ending_write(svc, a, &due)))
		return STATUS_INTERNAL;
	return STATUS_OK;
}

enum status order_expire(struct service *svc, struct arena *a, struct expiry *e)
{
	e->expired = e->stale = 0;
	if (e->count < 1 || e->count > EXPIRE_MAX)
		return STATUS_OK;
	struct expiring *g = arena_alloc(a, sizeof *g);
	g->request = e;
	for (int i = 0; i < e->count; i++)
		g->all[i] =
			(struct ending_order){ e->orders[i].sequence, e->orders[i].pay_by_ms, e->orders[i].segment };
	qsort(g->all, (size_t)e->count, sizeof g->all[0], by_key);
	enum status s = attempt(svc, a, "expiry", expire_once, g);
	if (s != STATUS_OK)
		e->expired = e->stale = 0;
	stats_add(svc->stats, COUNT_order_changes_total__expired, (uint64_t)e->expired);
	return s;
}
