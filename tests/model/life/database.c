/* Transactions. Whatever their workers have read before, the conditional updates decide. */
#include "model/life/life.h"

#include <stddef.h>

bool is_live(const struct order *o)
{
	return o->status == QUEUED || o->status == PENDING || o->status == PAID || o->status == DEAD;
}

bool is_over(const struct order *o)
{
	return o->status == CANCELLED || o->status == EXPIRED;
}

bool counts(const struct order *o)
{
	return is_over(o) && (!o->by_seller || mutant == COUNT_SELLERS);
}

/* The coupon's row, last. */

static void add(struct totals *t, enum change change)
{
	t->final += change == TO_FINAL;
	t->cancelled += change != TO_FINAL;
	t->final_cancelled += change == TO_BOTH;
}

static void count(struct state *s, enum change change)
{
	add(&s->totals, change);
	s->changes |= (uint32_t)change << 2 * s->change_count++;
	if (mutant != TOLD_STAYS)
		s->hub_told = 0;
}

struct totals totals_at(const struct state *s, int change)
{
	struct totals t = s->old;
	for (int i = 0; i < change; i++)
		add(&t, s->changes >> 2 * i & 3);
	return t;
}

void clear_hub_told(struct state *s)
{
	s->hub_told = 1;
}

/* Orders */

static bool has_row(const struct state *s, int customer)
{
	for (int n = 1; n <= ORDERS; n++) {
		const struct order *o = &s->orders[n];
		if (o->customer == customer && (o->status == PENDING || o->status == PAID))
			return true;
	}
	return false;
}

bool drain(struct state *s, const struct sale *sale, int n)
{
	struct order *o = &s->orders[n];
	if (has_row(s, o->customer) || s->sold == sale->units)
		return false; /* the unique key, the CHECK */
	o->status = PENDING;
	o->unpaid = sale->asks_payment;
	s->sold++;
	if (sale->asks_payment)
		s->hub_told = 0; /* the hub is told pay_by */
	return true;
}

void bury(struct state *s, const struct sale *sale, int n)
{
	s->orders[n].status = DEAD;
	if (sale->asks_payment)
		count(s, TO_FINAL);
}

static void become_paid(struct state *s, const struct sale *sale, int n, struct payment *by)
{
	struct order *o = &s->orders[n];
	o->status = PAID;
	o->unpaid = mutant == UNPAID_STAYS && o->unpaid;
	by->pays = (uint16_t)n;
	by->late = 0;
	if (sale->asks_payment)
		count(s, TO_FINAL);
}

static void end(struct state *s, const struct sale *sale, int n, enum status status)
{
	struct order *o = &s->orders[n];
	bool was_final = o->status == PAID && sale->asks_payment && mutant != FINAL_STAYS;
	o->over_final = o->status == PAID && sale->asks_payment;
	o->status = status;
	o->unpaid = 0;
	o->returned = 1;
	s->sold--;
	for (int p = 0; p < PAYMENTS && mutant != PAYER_STAYS; p++)
		if (s->payments[p].pays == n)
			s->payments[p].pays = 0;
	count(s, was_final ? TO_BOTH : TO_CANCELLED);
}

void cancel(struct state *s, const struct sale *sale, int n, bool by_seller)
{
	enum status is = s->orders[n].status;
	if (is == PENDING || (is == PAID && (by_seller || mutant == CANCEL_ANY))) {
		end(s, sale, n, CANCELLED);
		s->orders[n].by_seller = by_seller;
	}
}

void expire(struct state *s, const struct sale *sale, int n)
{
	enum status is = s->orders[n].status;
	if (is == PENDING || (is == PAID && mutant == EXPIRE_ANY))
		end(s, sale, n, EXPIRED);
}

void forget_returned(struct state *s, int n)
{
	s->orders[n].returned = 0;
}

/* Payments */

void pay(struct state *s, const struct sale *sale, int p, int n, bool right)
{
	struct payment *by = &s->payments[p];
	struct order *o = &s->orders[n];
	if (by->named && mutant != PAID_TWICE)
		return; /* it is known, and the first one counts */
	by->named = (uint16_t)n;
	by->right = right;
	if ((!right && mutant != PAY_ANY_AMOUNT) || o->status == DEAD)
		return;
	if (o->status == PENDING || mutant == PAY_ANY)
		become_paid(s, sale, n, by);
	else if (o->status == EXPIRED)
		by->late = sale->late && !by->refunded;
}

void refund(struct state *s, int p)
{
	s->payments[p].refunded = 1;
	if (mutant != LATE_REFUNDED)
		s->payments[p].late = 0; /* nobody looks for a unit any more */
}

void apply_late(struct state *s, const struct sale *sale, int p, int n)
{
	struct payment *by = &s->payments[p];
	struct order *o = &s->orders[n];
	if (!by->late && mutant != LATE_ANY_PAYMENT)
		return;
	if (o->status == PENDING || (is_over(o) && mutant == LATE_ANY_ORDER))
		become_paid(s, sale, n, by);
	else if ((o->status == PAID || o->status == DEAD) && mutant != LATE_KEEPS_LOOKING)
		by->late = 0; /* the customer has an order that needs no payment, or whose unit an operator decides
				 about */
}

void refuse_late(struct state *s, int p)
{
	s->payments[p].late = 0;
}
