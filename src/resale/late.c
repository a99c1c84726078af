#include "resale/late.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "lifecycle/attempt.h"
#include "lifecycle/report.h"
#include "resale/purchase.h"
#include "resale/release.h"

enum {
	SEARCHES = 16,
	WALK_MS = 500,      /* from one look at all late payments to the next */
	ROW_WAIT_MS = 5000, /* how long the row of a new order is waited for, before its customer claims again */
};

/* A search for a unit, for one late payment. */
struct search {
	struct purchase *purchase; /* NULL: there is no search */
	int64_t began_ms;
	struct arena arena;
	struct payment payment;
	struct order_row named; /* the order that the payment names; it is over */
};

struct late {
	struct service *svc;
	struct search searches[SEARCHES];
	char after[PAYMENT_ID_MAX]; /* the last payment of the walk */
	size_t after_length;
	int64_t due_ms; /* when the next walk is due, by clock_mono_ms */
};

struct late *late_new(struct service *svc)
{
	struct late *l = alloc_zeroed(1, sizeof *l);
	l->svc = svc;
	return l;
}

static void end_search(struct search *s)
{
	purchase_free(s->purchase);
	arena_release(&s->arena);
	*s = (struct search){ 0 };
}

void late_free(struct late *l)
{
	for (int i = 0; l && i < SEARCHES; i++)
		end_search(&l->searches[i]);
	free(l);
}

bool late_is_busy(const struct late *l)
{
	for (int i = 0; i < SEARCHES; i++)
		if (l->searches[i].purchase)
			return true;
	return false;
}

/* Beginning */

/* True: a search for this payment is under way. *place is set to one that is free, if there is one. */
static bool is_searched_for(struct late *l, struct str payment, struct search **place)
{
	*place = NULL;
	for (int i = 0; i < SEARCHES; i++) {
		struct search *s = &l->searches[i];
		if (s->purchase && str_eq(s->payment.id, payment))
			return true;
		if (!s->purchase)
			*place = s;
	}
	return false;
}

/* Reads the order that the payment names. False: MySQL does not answer, or has no such order. */
static bool read_named(struct late *l, struct arena *a, const struct payment *p, struct order_row *row)
{
	struct db_rows rows;
	if (db_query(l->svc->db, a,
		     "SELECT user_id, status, unit FROM orders WHERE coupon_id = ? AND segment = ? AND seq = ?", &rows,
		     DB_N(p->order.coupon), DB_N(p->order.segment), DB_N(p->order.sequence)) ||
	    !rows.count)
		return false;
	const struct db_value *v = db_row(&rows, 0);
	*row = (struct order_row){ .user = v[0].number,
				   .status = (enum order_status)v[1].number,
				   .unit = (int)v[2].number };
	return true;
}

/* False: as many searches as there may be are under way. */
static bool begin_search(struct late *l, struct arena *a, const struct payment *p)
{
	struct search *s;
	if (is_searched_for(l, p->id, &s))
		return true;
	if (!s)
		return false;
	if (!read_named(l, a, p, &s->named))
		return true;
	s->began_ms = clock_mono_ms();
	s->payment = *p;
	s->payment.id = arena_str(&s->arena, p->id);
	s->payment.currency = arena_str(&s->arena, p->currency);
	s->purchase = purchase_begin(l->svc, p->order.coupon, order_row_owner(&s->named));
	return true;
}

/* Settling */

/* NULL, or why no unit can be had. */
static const char *refusal(enum status s)
{
	static const struct {
		enum status status;
		const char *why;
	} refusals[] = {
		{ STATUS_SOLD_OUT, "all units are sold" },
		{ STATUS_ALL_HELD, "all units are held by other orders" },
		{ STATUS_WAITING_LIST, "all units are held, or are for customers who wait" },
		{ STATUS_ENDED, "the sale has ended" },
		{ STATUS_NO_SUCH_COUPON, "the sale is not there any more" },
		{ STATUS_ALREADY_PAID, "the customer has another order of the unit, which is paid" },
		{ STATUS_ALREADY_CLAIMED, "the customer has another order of the unit, which is a dead letter" },
	};
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		if (s == refusals[i].status)
			return refusals[i].why;
	return NULL;
}

static enum status refuse(struct late *l, struct arena *a, const struct search *s, const char *why)
{
	const struct payment *p = &s->payment;
	return order_refuse_late(
		l->svc, a, p,
		str_of(arena_printf(a, "payment %.*s came after the order %s, and %s", (int)p->id.n, p->id.p,
				    s->named.status == ORDER_EXPIRED ? "had expired" : "was cancelled", why)));
}

/* A Redis that was emptied knows no coupon until it is recovered; MySQL does. */
static enum status check_coupon(struct late *l, struct arena *a, int64_t coupon)
{
	struct db_rows rows;
	if (db_query(l->svc->db, a, "SELECT 1 FROM coupons WHERE id = ?", &rows, DB_N(coupon)))
		return STATUS_UNAVAILABLE;
	return rows.count ? STATUS_PENDING : STATUS_NO_SUCH_COUPON;
}

/* Its record is a dead letter: it gets no row, and its customer no other order of the unit, until an operator decides.
 */
static bool is_dead(struct late *l, struct arena *a, const struct order_number *n)
{
	struct db_rows rows;
	return !db_query(l->svc->db, a,
			 "SELECT 1 FROM dead_letters WHERE coupon_id = ? AND segment = ? AND seq = ? LIMIT 1", &rows,
			 DB_N(n->coupon), DB_N(n->segment), DB_N(n->sequence)) &&
	       rows.count;
}

/*
 * STATUS_OK: the payment pays an order; a status that refusal knows; or anything else: a later walk begins another
 * search. A customer whose orders ended too often may claim once more, because the price is paid.
 */
static enum status outcome(struct late *l, struct arena *a, struct search *search, enum status s,
			   const struct order_number *order)
{
	if (s == STATUS_LIMIT_REACHED)
		release_limit(l->svc, a, order_row_owner(&search->named), order);
	if (s == STATUS_NO_SUCH_COUPON)
		return check_coupon(l, a, search->payment.order.coupon);
	if (s == STATUS_CREATED || s == STATUS_ALREADY_CLAIMED)
		return order_pay_late(l->svc, a, &search->payment, order);
	return s;
}

/* Only a row that is not in MySQL yet is waited for. */
static void settle(struct late *l, struct arena *a, struct search *search)
{
	enum status s;
	struct order_number order;
	if (!purchase_has_ended(search->purchase, &s, &order))
		return;
	bool has_order = s == STATUS_CREATED || s == STATUS_ALREADY_CLAIMED;
	s = outcome(l, a, search, s, &order);
	if (has_order && s == STATUS_PENDING && clock_mono_ms() - search->began_ms < ROW_WAIT_MS)
		return;
	if (has_order && s == STATUS_PENDING && is_dead(l, a, &order))
		s = STATUS_ALREADY_CLAIMED;
	const char *why = refusal(s);
	if (why && refuse(l, a, search, why) == STATUS_UNAVAILABLE)
		return;
	FAULT(late_settled);
	end_search(search);
}

/* Walks */

static enum step look_for_more(struct late *l, struct arena *a)
{
	struct payment *payments;
	int count, i = 0;
	if (payment_late(l->svc, a, (struct str){ l->after, l->after_length }, SEARCHES, &payments, &count) !=
	    STATUS_OK)
		return STEP_AWAY;
	while (i < count && begin_search(l, a, &payments[i]))
		i++;
	if (i > 0) {
		struct str last = payments[i - 1].id;
		l->after_length = last.n < sizeof l->after ? last.n : sizeof l->after;
		memcpy(l->after, last.p, l->after_length);
	}
	if (i == count && count < SEARCHES) { /* the walk is over */
		l->after_length = 0;
		l->due_ms = clock_mono_ms() + WALK_MS;
	}
	return STEP_DONE;
}

enum step late_step(struct late *l, struct arena *a, bool any)
{
	for (int i = 0; i < SEARCHES; i++)
		if (l->searches[i].purchase)
			settle(l, a, &l->searches[i]);
	return any && clock_mono_ms() >= l->due_ms ? look_for_more(l, a) : STEP_DONE;
}
