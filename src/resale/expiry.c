#include "resale/expiry.h"

#include <stdlib.h>

#include "base/clock.h"
#include "drain/lease.h"
#include "host/fault.h"
#include "host/log.h"
#include "lifecycle/transition.h"
#include "sale/coupon.h"
#include "sale/sale_clock.h"

enum {
	FAILED_MS = 1000, /* from a walk with a failure to the next walk */
	LEFT_MS = 100,    /* from a batch that was left to another drainer, or failed, to the next one */
};

/* A row of unpaid_orders. */
struct due {
	int64_t coupon;
	struct unpaid order;
};

struct due_list {
	struct due *at;
	int count;
};

static int read_rows(struct db *db, struct arena *a, const struct db_rows *rows, struct due_list *l)
{
	l->at = arena_alloc(a, (size_t)(rows->count + 1) * sizeof *l->at);
	for (l->count = 0; l->count < rows->count; l->count++) {
		const struct db_value *v = db_row(rows, l->count);
		int64_t segment;
		if (db_int(db, &v[2], 0, SEGMENTS_MAX - 1, &segment))
			return -1;
		l->at[l->count] = (struct due){ v[1].number, { v[0].number, v[3].number, (int)segment } };
	}
	return 0;
}

/* Along an index, from the last row of the step before. */
static int read_next(struct service *svc, struct arena *a, const struct expiry_walk *w, int64_t last_ms,
		     struct due_list *l)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT pay_by_ms, coupon_id, segment, seq FROM unpaid_orders FORCE INDEX (unpaid_orders_due) "
		     "WHERE pay_by_ms BETWEEN ? AND ? AND (pay_by_ms > ? OR coupon_id > ? OR (coupon_id = ? AND "
		     "(segment > ? OR (segment = ? AND seq > ?)))) "
		     "ORDER BY pay_by_ms, coupon_id, segment, seq LIMIT ?",
		     &rows, DB_N(w->after_ms), DB_N(last_ms), DB_N(w->after_ms), DB_N(w->coupon), DB_N(w->coupon),
		     DB_N(w->segment), DB_N(w->segment), DB_N(w->sequence), DB_N(EXPIRE_MAX)))
		return -1;
	return read_rows(svc->db, a, &rows, l);
}

static void walk_on(struct expiry_walk *w, const struct due *last)
{
	w->after_ms = last->order.pay_by_ms;
	w->coupon = last->coupon;
	w->segment = last->order.segment;
	w->sequence = last->order.sequence;
}

static int by_coupon(const void *left, const void *right)
{
	const struct due *a = left, *b = right;
	return (a->coupon > b->coupon) - (a->coupon < b->coupon);
}

/* Leaves the orders of a coupon to the drainer that has its lease. */
static enum status expire_leased(struct service *svc, struct arena *a, struct expiry *e)
{
	int64_t leased_ms = clock_mono_ms();
	if (!lease_take(svc, a, e->coupon, "expiry"))
		return STATUS_OK;
	enum status s = order_expire(svc, a, e);
	FAULT(expiry_batch);
	if (clock_mono_ms() - leased_ms < LEASE_MS)
		lease_release(svc, e->coupon);
	return s;
}

/* Expires the orders of the list, those of each coupon together. STEP_AWAY: MySQL does not answer. */
static enum step expire_all(struct service *svc, struct arena *a, struct expiry_walk *w, struct due_list *l,
			    int64_t now_ms)
{
	struct unpaid *orders = arena_alloc(a, (size_t)(l->count + 1) * sizeof *orders);
	qsort(l->at, (size_t)l->count, sizeof *l->at, by_coupon);
	for (int i = 0; i < l->count;) {
		struct expiry e = { .coupon = l->at[i].coupon, .now_ms = now_ms, .orders = orders };
		for (; i < l->count && l->at[i].coupon == e.coupon; i++)
			orders[e.count++] = l->at[i].order;
		enum status s = expire_leased(svc, a, &e);
		if (s == STATUS_UNAVAILABLE)
			return STEP_AWAY;
		w->failed |= s != STATUS_OK;
		w->expired += e.expired;
	}
	return STEP_DONE;
}

/* When orders that are due now were to be paid at the latest. */
static int64_t last_due_ms(const struct service *svc, int64_t now_ms)
{
	return now_ms - (int64_t)svc->conf->pay_grace_s * 1000;
}

/* Where another drainer has expired the same orders, this one leaves the rest to it. */
static enum step expire_next(struct service *svc, struct arena *a, struct expiry_walk *w, int64_t now_ms)
{
	struct due_list l;
	if (read_next(svc, a, w, last_due_ms(svc, now_ms), &l)) {
		log_warn_limited("expiry_failed", LOG_TEXT("error", db_error(svc->db)));
		return STEP_AWAY;
	}
	FAULT(expiry_found);
	int64_t before = w->expired;
	struct due last = l.count ? l.at[l.count - 1] : (struct due){ 0 }; /* before they are sorted */
	if (expire_all(svc, a, w, &l, now_ms) == STEP_AWAY)
		return STEP_AWAY;
	if (l.count == EXPIRE_MAX) {
		walk_on(w, &last);
		if (w->expired > before)
			return STEP_MORE;
		w->due_ms = clock_mono_ms() + LEFT_MS;
		return STEP_DONE;
	}
	*w = (struct expiry_walk){ .expired = w->expired, .due_ms = w->failed ? clock_mono_ms() + FAILED_MS : 0 };
	return STEP_DONE;
}

enum step expiry_step(struct service *svc, struct arena *a, struct expiry_walk *w, int64_t first_ms)
{
	int64_t now_ms;
	if (clock_mono_ms() < w->due_ms)
		return STEP_DONE;
	if (sale_clock_read(svc, a, &now_ms) != STATUS_OK)
		return STEP_AWAY;
	return first_ms <= last_due_ms(svc, now_ms) ? expire_next(svc, a, w, now_ms) : STEP_DONE;
}
