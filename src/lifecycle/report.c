#include "lifecycle/report.h"

#include "host/fault.h"
#include "host/log.h"
#include "lifecycle/attempt.h"

struct reporting {
	struct service *svc;
	struct arena *arena;
	struct report *report;
	int64_t now_ms;
	struct order_row row; /* status ORDER_LOST: there is none */
	struct terms terms;
	bool paid; /* out: the order became paid by this report */
};

static int add_event(const struct reporting *g, enum event_kind kind, struct str reason, struct str source)
{
	const struct report *r = g->report;
	const struct event e = { r->order, kind, r->actor, g->now_ms, reason, source };
	if (event_add(g->svc, &e))
		return -1;
	FAULT(life_event);
	return 0;
}

/* "1000 EUR"; an amount of 0 may have no currency. */
static const char *money(struct arena *a, int64_t amount, struct str currency)
{
	return arena_printf(a, currency.n ? "%lld %.*s" : "%lld", (long long)amount, (int)currency.n, currency.p);
}

/* An order that becomes paid */

/* `from` is the status that the locked row has. The totals of the coupon are written last, by count_final. */
static int set_paid(struct service *svc, const struct order_number *n, const struct order_row *row)
{
	int64_t changed = 0;
	if (db_exec(svc->db,
		    "UPDATE orders SET status = ? WHERE coupon_id = ? AND segment = ? AND seq = ? AND status = ?",
		    &changed, DB_N(ORDER_PAID), DB_N(n->coupon), DB_N(n->segment), DB_N(n->sequence),
		    DB_N(row->status)) ||
	    changed != 1)
		return -1;
	FAULT(life_paid);
	if (row->status == ORDER_PENDING &&
	    db_exec(svc->db,
		    "DELETE FROM unpaid_orders WHERE coupon_id = ? AND pay_by_ms = ? AND segment = ? AND seq = ?", NULL,
		    DB_N(n->coupon), DB_N(row->pay_by_ms), DB_N(n->segment), DB_N(n->sequence)))
		return -1;
	FAULT(life_not_unpaid);
	return 0;
}

/* In a sale with payment, an order that was confirmed without one, before the sale had any, is final already. */
static int count_final(struct service *svc, int64_t coupon, const struct terms *t, const struct order_row *row)
{
	if (!t->must_pay || row->status != ORDER_PENDING)
		return 0;
	if (db_exec(svc->db, "UPDATE coupons SET final = final + 1, hub_told = 0 WHERE id = ?", NULL, DB_N(coupon)))
		return -1;
	FAULT(life_counted);
	return 0;
}

/* Payments */

static bool is_payable(enum order_status s)
{
	return s == ORDER_PENDING || s == ORDER_CONFIRMED;
}

/* NULL, or why this payment is not one of the price. */
static const char *wrong_amount(const struct reporting *g)
{
	const struct report *r = g->report;
	const struct terms *t = &g->terms;
	if (r->amount == t->price && (!t->price || str_eq(r->currency, t->currency)))
		return NULL;
	return arena_printf(g->arena, "payment %.*s is of %s, the price is %s", (int)r->payment.n, r->payment.p,
			    money(g->arena, r->amount, r->currency), money(g->arena, t->price, t->currency));
}

static const char *refusal(const struct reporting *g)
{
	const char *wrong = wrong_amount(g);
	enum order_status s = g->row.status;
	if (wrong || is_payable(s))
		return wrong;
	return arena_printf(g->arena, "payment %.*s came when the order was %s", (int)g->report->payment.n,
			    g->report->payment.p, s == ORDER_LOST ? "lost" : order_status_text(s));
}

/* A payment is late when it comes after its order has expired; who has cancelled wants no other unit. */
static struct payment new_payment(const struct reporting *g, const char *refused)
{
	const struct report *r = g->report;
	struct payment p = {
		.id = r->payment, .order = r->order, .amount = r->amount, .currency = r->currency, .at_ms = g->now_ms
	};
	if (!refused)
		p.pays = r->order;
	else
		p.late = g->row.status == ORDER_EXPIRED && g->terms.late_payment && !wrong_amount(g);
	return p;
}

/* Refunds may have come before their payment. One that has its money back takes no unit. */
static int record_payment(const struct reporting *g, const struct payment *p)
{
	if (payment_insert(g->svc, p))
		return -1;
	FAULT(life_recorded);
	return payment_sum_refunds(g->svc, p->id);
}

static enum status take_payment(struct reporting *g)
{
	const char *refused = refusal(g);
	struct payment p = new_payment(g, refused);
	int failed = record_payment(g, &p);
	if (!failed && p.pays.sequence)
		failed = set_paid(g->svc, &p.order, &g->row) || add_event(g, EVENT_PAID, STR(""), STR("")) ||
			 count_final(g->svc, p.order.coupon, &g->terms, &g->row);
	else if (!failed && !p.late)
		failed = add_event(g, EVENT_PAYMENT_REFUSED, str_of(refused), STR(""));
	g->paid = !failed && p.pays.sequence;
	if (g->paid)
		g->row.status = ORDER_PAID;
	return failed ? STATUS_INTERNAL : STATUS_OK;
}

/* Sets the outcome from the row of the payment, which may not have come yet. */
static enum status conclude(struct reporting *g, struct payment *p, bool *found)
{
	if (payment_lock(g->svc, g->arena, g->report->payment, p, found))
		return STATUS_INTERNAL;
	g->report->outcome = *found ? payment_text(p) : "refunded";
	return STATUS_OK;
}

/* What is recorded otherwise */

static enum status tell_conflict(struct reporting *g, enum event_kind kind, const char *conflict)
{
	struct report *r = g->report;
	log_warn_limited("payment_differs", LOG_TEXT("problem", conflict), LOG_STR("message", r->source));
	r->outcome = "conflict";
	r->conflict = conflict;
	return add_event(g, kind, str_of(conflict), r->source) ? STATUS_INTERNAL : STATUS_OK;
}

static bool is_order(const struct order_number *one, const struct order_number *other)
{
	return one->coupon == other->coupon && one->segment == other->segment && one->sequence == other->sequence;
}

static const char *number_of(struct arena *a, const struct order_number *n)
{
	char text[ORDER_NUMBER_TEXT];
	return arena_str(a, order_number_text(text, n->coupon, n->segment, n->sequence)).p;
}

/* NULL, or how the payment that has this id is another one. */
static const char *other_payment(const struct reporting *g, const struct payment *p)
{
	const struct report *r = g->report;
	const struct order_number *its = p->pays.sequence ? &p->pays : &p->order;
	if ((is_order(&r->order, &p->order) || is_order(&r->order, &p->pays)) && r->amount == p->amount &&
	    str_eq(r->currency, p->currency))
		return NULL;
	return arena_printf(g->arena,
			    "payment %.*s is recorded as %s for order %s, and was reported again, as %s for order %s",
			    (int)p->id.n, p->id.p, money(g->arena, p->amount, p->currency), number_of(g->arena, its),
			    money(g->arena, r->amount, r->currency), number_of(g->arena, &r->order));
}

static const char *other_refund(const struct reporting *g, const struct refund *known)
{
	const struct report *r = g->report;
	if (str_eq(r->payment, known->payment) && r->amount == known->amount && str_eq(r->currency, known->currency))
		return NULL;
	return arena_printf(
		g->arena,
		"refund %.*s is recorded as %s of payment %.*s, and was reported again, as %s of payment %.*s",
		(int)r->refund.n, r->refund.p, money(g->arena, known->amount, known->currency), (int)known->payment.n,
		known->payment.p, money(g->arena, r->amount, r->currency), (int)r->payment.n, r->payment.p);
}

static enum status report_paid(struct reporting *g)
{
	struct payment p;
	bool known;
	if (payment_lock(g->svc, g->arena, g->report->payment, &p, &known))
		return STATUS_INTERNAL;
	const char *conflict = known ? other_payment(g, &p) : NULL;
	if (conflict)
		return tell_conflict(g, EVENT_PAYMENT_REFUSED, conflict);
	enum status s = known ? STATUS_OK : take_payment(g);
	return s == STATUS_OK ? conclude(g, &p, &known) : s;
}

/* Refunds and failures */

/* NULL, or what is wrong with a new refund. It is recorded, because the money has moved. */
static const char *misfit(const struct reporting *g, const struct payment *p)
{
	const struct report *r = g->report;
	if (!str_eq(r->currency, p->currency))
		return arena_printf(g->arena, "refund %.*s is %s, payment %.*s is %s: it does not count as refunded",
				    (int)r->refund.n, r->refund.p, money(g->arena, r->amount, r->currency),
				    (int)p->id.n, p->id.p, money(g->arena, p->amount, p->currency));
	if (p->refunded > p->amount)
		return arena_printf(g->arena, "with refund %.*s, %s of payment %.*s are refunded, which is %s",
				    (int)r->refund.n, r->refund.p, money(g->arena, p->refunded, p->currency),
				    (int)p->id.n, p->id.p, money(g->arena, p->amount, p->currency));
	return NULL;
}

static enum status tell_refund(struct reporting *g, const struct payment *p)
{
	const struct report *r = g->report;
	const char *wrong = p ? misfit(g, p) : NULL;
	const char *reason = arena_printf(g->arena, "%s of payment %.*s", money(g->arena, r->amount, r->currency),
					  (int)r->payment.n, r->payment.p);
	bool counts = !p || str_eq(r->currency, p->currency);
	if (p && !is_order(&r->order, &p->order) && !is_order(&r->order, &p->pays))
		log_warn_limited("payment_differs", LOG_STR("payment", r->payment), LOG_STR("refund", r->refund),
				 LOG_TEXT("order", number_of(g->arena, &r->order)),
				 LOG_TEXT("recorded", number_of(g->arena, &p->order)));
	if (wrong)
		log_warn_limited("refund_misfit", LOG_TEXT("problem", wrong), LOG_STR("message", r->source));
	if ((counts && add_event(g, EVENT_REFUNDED, str_of(reason), STR(""))) ||
	    (wrong && add_event(g, EVENT_REFUND_MISFIT, str_of(wrong), STR(""))))
		return STATUS_INTERNAL;
	return STATUS_OK;
}

static enum status repeat_refund(struct reporting *g)
{
	struct refund known;
	struct payment p;
	bool found;
	if (payment_read_refund(g->svc, g->arena, g->report->refund, &known))
		return STATUS_INTERNAL;
	const char *conflict = other_refund(g, &known);
	return conflict ? tell_conflict(g, EVENT_REFUND_MISFIT, conflict) : conclude(g, &p, &found);
}

static enum status report_refunded(struct reporting *g)
{
	const struct report *r = g->report;
	const struct refund refund = { r->refund, r->payment, r->amount, r->currency, g->now_ms };
	struct payment p;
	bool is_new, found;
	if (payment_insert_refund(g->svc, &refund, &is_new))
		return STATUS_INTERNAL;
	FAULT(life_recorded);
	if (!is_new)
		return repeat_refund(g);
	if (payment_sum_refunds(g->svc, r->payment))
		return STATUS_INTERNAL;
	enum status s = conclude(g, &p, &found);
	return s == STATUS_OK ? tell_refund(g, found ? &p : NULL) : s;
}

static enum status report_failed(struct reporting *g)
{
	const struct report *r = g->report;
	const char *reason =
		r->payment.n ? arena_printf(g->arena, "payment %.*s", (int)r->payment.n, r->payment.p) : "";
	g->report->outcome = "failed";
	return add_event(g, EVENT_PAYMENT_FAILED, str_of(reason), r->source) ? STATUS_INTERNAL : STATUS_OK;
}

/*
 * Locks the order's row. Reports about an order without a row lock the coupon's row instead, so that a payment and its
 * refund come one after the other there, too.
 */
static enum status lock(struct reporting *g)
{
	struct db_rows rows;
	enum status s = order_row_lock(g->svc, g->arena, &g->report->order, &g->row);
	if (s != STATUS_PENDING || !g->report->lacks_row)
		return s;
	g->row = (struct order_row){ .status = ORDER_LOST };
	return db_query(g->svc->db, g->arena, "SELECT id FROM coupons WHERE id = ? FOR UPDATE", &rows,
			DB_N(g->report->order.coupon))
		       ? STATUS_INTERNAL
		       : STATUS_OK;
}

static enum status report_once(struct service *svc, struct arena *a, void *context)
{
	static enum status (*const steps[])(struct reporting *) = {
		[REPORT_PAID] = report_paid,
		[REPORT_FAILED] = report_failed,
		[REPORT_REFUNDED] = report_refunded,
	};
	struct reporting *g = context;
	enum status s = lock(g);
	g->paid = false;
	g->report->conflict = NULL;
	if (s == STATUS_OK)
		s = terms_read(svc, a, g->report->order.coupon, &g->terms);
	if (s == STATUS_OK)
		s = steps[g->report->kind](g);
	g->report->status = g->row.status;
	return s;
}

enum status order_report(struct service *svc, struct arena *a, struct report *r)
{
	struct reporting g = { .svc = svc, .arena = a, .report = r, .now_ms = attempt_clock_ms(svc, a) };
	enum status s = attempt(svc, a, "payment", report_once, &g);
	stats_add(svc->stats, COUNT_order_changes_total__paid, s == STATUS_OK && g.paid);
	return s;
}

/* Late payments */

struct settling {
	const struct payment *late;
	struct order_number order; /* that it is to pay; sequence 0: none */
	struct str reason;
	int64_t now_ms;
	bool paid; /* out: the payment was late, and pays the order now */
};

static enum status check_payable(const struct order_row *row, struct owner customer)
{
	if (!owner_eq(order_row_owner(row), customer))
		return STATUS_NO_SUCH_ORDER;
	return row->status == ORDER_PAID        ? STATUS_ALREADY_PAID
	       : row->status == ORDER_CANCELLED ? STATUS_ALREADY_CANCELLED
	       : row->status == ORDER_EXPIRED   ? STATUS_ALREADY_EXPIRED
						: STATUS_OK;
}

static enum status read_customer(struct service *svc, struct arena *a, const struct order_number *n,
				 struct owner *owner)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT user_id, unit FROM orders WHERE coupon_id = ? AND segment = ? AND seq = ?",
		     &rows, DB_N(n->coupon), DB_N(n->segment), DB_N(n->sequence)))
		return STATUS_INTERNAL;
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	*owner = (struct owner){ db_row(&rows, 0)[0].number, (int)db_row(&rows, 0)[1].number };
	return STATUS_OK;
}

static int write_paid_late(struct service *svc, const struct settling *g, const struct order_row *row,
			   const struct terms *t)
{
	char text[ORDER_NUMBER_TEXT];
	struct str number = order_number_text(text, g->order.coupon, g->order.segment, g->order.sequence);
	const struct event paid = { g->order, EVENT_PAID, ACTOR_SERVICE, g->now_ms, STR(""), STR("") };
	const struct event late = { g->late->order, EVENT_PAID_LATE, ACTOR_SERVICE, g->now_ms, number, STR("") };
	return set_paid(svc, &g->order, row) || event_add(svc, &paid) || event_add(svc, &late) ||
			       count_final(svc, g->order.coupon, t, row)
		       ? -1
		       : 0;
}

static enum status pay_late_once(struct service *svc, struct arena *a, void *context)
{
	struct settling *g = context;
	struct order_row row;
	struct terms terms;
	struct owner customer;
	bool was_late = false;
	enum status s = order_row_lock(svc, a, &g->order, &row);
	if (s != STATUS_OK)
		return s;
	if (payment_settle_late(svc, g->late->id, &g->order, &was_late))
		return STATUS_INTERNAL;
	if (!was_late)
		return STATUS_OK;
	FAULT(life_recorded);
	s = read_customer(svc, a, &g->late->order, &customer);
	if (s == STATUS_OK)
		s = check_payable(&row, customer);
	if (s == STATUS_OK)
		s = terms_read(svc, a, g->order.coupon, &terms);
	if (s != STATUS_OK)
		return s;
	g->paid = write_paid_late(svc, g, &row, &terms) == 0;
	return g->paid ? STATUS_OK : STATUS_INTERNAL;
}

enum status order_pay_late(struct service *svc, struct arena *a, const struct payment *late,
			   const struct order_number *order)
{
	struct settling g = { .late = late, .order = *order, .now_ms = attempt_clock_ms(svc, a) };
	enum status s = attempt(svc, a, "late payment", pay_late_once, &g);
	stats_add(svc->stats, COUNT_order_changes_total__paid, s == STATUS_OK && g.paid);
	return s;
}

static enum status refuse_late_once(struct service *svc, struct arena *a, void *context)
{
	const struct settling *g = context;
	const struct event refused = { g->late->order, EVENT_PAYMENT_REFUSED, ACTOR_SERVICE, g->now_ms, g->reason,
				       STR("") };
	bool was_late = false;
	(void)a;
	if (payment_settle_late(svc, g->late->id, &g->order, &was_late))
		return STATUS_INTERNAL;
	FAULT(life_recorded);
	return was_late && event_add(svc, &refused) ? STATUS_INTERNAL : STATUS_OK;
}

enum status order_refuse_late(struct service *svc, struct arena *a, const struct payment *late, struct str reason)
{
	struct settling g = { .late = late, .reason = reason, .now_ms = attempt_clock_ms(svc, a) };
	return attempt(svc, a, "late payment", refuse_late_once, &g);
}
