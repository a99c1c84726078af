/* What may happen next, in whichever process. */
#include "model/life/life.h"

void state_init(struct state *s)
{
	*s = (struct state){ .hub_told = 1 };
}

int order_count(const struct state *s)
{
	int n = 0;
	while (n < ORDERS && s->orders[n + 1].status)
		n++;
	return n;
}

struct steps {
	const struct state *s;
	const struct sale *sale;
	struct step *list;
	int count;
};

static void may(struct steps *l, enum kind kind, int at, int order)
{
	l->list[l->count++] = (struct step){ kind, (uint8_t)at, (uint8_t)order };
}

/* An order number is not used up. */
static bool may_claim(const struct steps *l)
{
	return order_count(l->s) < l->sale->orders || available(l->s, l->sale) <= 0;
}

static void steps_of_customers(struct steps *l)
{
	for (int c = 0; c < l->sale->customers; c++)
		if (!l->s->owners[c].number && may_claim(l))
			may(l, CLAIM, c, 0);
}

static void steps_of_order(struct steps *l, int n, bool is_first_queued)
{
	const struct order *o = &l->s->orders[n];
	if (is_first_queued) {
		may(l, DRAIN, n, 0);
		if (l->sale->dead)
			may(l, BURY, n, 0);
	}
	if (o->status == PENDING || o->status == PAID) {
		may(l, CANCEL, n, 0);
		if (l->sale->seller)
			may(l, SELLER_CANCEL, n, 0);
		if (l->sale->asks_payment)
			may(l, EXPIRE, n, 0);
	}
	if (is_over(o) || (o->status == PENDING && mutant == RELEASE_FIRST))
		may(l, RELEASE, n, 0);
	if (o->returned && (o->released || mutant == FORGET_FIRST))
		may(l, FORGET, n, 0);
}

/* A provider repeats what it has reported of a payment; the next payment is not begun before this one. */
static void steps_of_provider(struct steps *l, int p)
{
	const struct payment *by = &l->s->payments[p];
	for (int n = 1; n <= order_count(l->s); n++) {
		enum status is = l->s->orders[n].status;
		if (is == QUEUED || (by->named && by->named != n))
			continue;
		if (!by->named || by->right)
			may(l, PAY, p, n);
		if (l->sale->wrong && (!by->named || !by->right))
			may(l, PAY_WRONG, p, n);
	}
	if (l->sale->refunds && !by->refunded)
		may(l, REFUND, p, 0);
}

static void steps_of_late_payment(struct steps *l, int p)
{
	const struct payment *by = &l->s->payments[p];
	if (by->late && (l->s->owners[l->s->orders[by->named].customer].number || may_claim(l)))
		may(l, LATE_CLAIM, p, 0);
	if (by->limit)
		may(l, LATE_LIFT, p, 0);
	for (int n = 1; n <= ORDERS; n++)
		if (by->found >> n & 1)
			may(l, LATE_APPLY, p, n);
	if (by->hopeless)
		may(l, LATE_REFUSE, p, 0);
}

int steps_of(const struct state *s, const struct sale *sale, struct step list[STEPS_MOST])
{
	struct steps l = { .s = s, .sale = sale, .list = list };
	int queued = 1;
	while (queued <= ORDERS && s->orders[queued].status != QUEUED)
		queued++;
	steps_of_customers(&l);
	for (int n = 1; n <= order_count(s); n++)
		steps_of_order(&l, n, n == queued);
	for (int p = 0; p < sale->payments && (!p || s->payments[p - 1].named); p++) {
		steps_of_provider(&l, p);
		steps_of_late_payment(&l, p);
	}
	for (int change = 0; change <= s->change_count; change++)
		may(&l, TELL, change, 0);
	if (!s->hub_told)
		may(&l, CLEAR, 0, 0);
	return l.count;
}

static bool equal(struct totals a, struct totals b)
{
	return a.cancelled == b.cancelled && a.final == b.final && a.final_cancelled == b.final_cancelled;
}

static struct reply claim_for(struct state *s, const struct sale *sale, int p)
{
	struct payment *by = &s->payments[p];
	struct reply r = claim(s, sale, s->orders[by->named].customer);
	if (r.word == WON || r.word == MINE)
		by->found |= (uint16_t)(1u << r.number);
	else if (r.word == LIMIT)
		by->limit = (uint16_t)(r.number & 7);
	else
		by->hopeless = 1;
	return r;
}

/* What can change nothing any more is made equal: totals that the hub has, drainers whose payment is not late. */
static void drop_inert(struct state *s)
{
	for (int p = 0; p < PAYMENTS; p++)
		if (!s->payments[p].late)
			s->payments[p].found = s->payments[p].hopeless = s->payments[p].limit = 0;
	for (int n = 1; n <= ORDERS; n++)
		if (!s->orders[n].returned)
			s->orders[n].released = 0;
	for (int change = s->change_count; change > 0; change--)
		if (equal(totals_at(s, change), s->hub)) {
			s->old = s->hub;
			s->changes >>= 2 * change;
			s->change_count = (uint8_t)(s->change_count - change);
			break;
		}
}

static const struct reply done = { DONE, 0 };

static struct reply take_claim(struct state *s, const struct sale *sale, const struct step *step)
{
	return claim(s, sale, step->at);
}

static struct reply take_drain(struct state *s, const struct sale *sale, const struct step *step)
{
	if (step->kind == BURY)
		bury(s, sale, step->at);
	else if (!drain(s, sale, step->at))
		return (struct reply){ REFUSED, 0 };
	return done;
}

static struct reply take_payment(struct state *s, const struct sale *sale, const struct step *step)
{
	pay(s, sale, step->at, step->order, step->kind == PAY);
	return done;
}

static struct reply take_refund(struct state *s, const struct sale *sale, const struct step *step)
{
	(void)sale;
	refund(s, step->at);
	return done;
}

static struct reply take_cancel(struct state *s, const struct sale *sale, const struct step *step)
{
	cancel(s, sale, step->at, step->kind == SELLER_CANCEL);
	return done;
}

static struct reply take_expiry(struct state *s, const struct sale *sale, const struct step *step)
{
	expire(s, sale, step->at);
	return done;
}

static struct reply take_release(struct state *s, const struct sale *sale, const struct step *step)
{
	release(s, sale, step->at);
	return done;
}

static struct reply take_forget(struct state *s, const struct sale *sale, const struct step *step)
{
	(void)sale;
	forget_returned(s, step->at);
	return done;
}

static struct reply take_tell(struct state *s, const struct sale *sale, const struct step *step)
{
	(void)sale;
	tell_hub(s, step->at);
	return done;
}

/* By somebody who has told the hub totals. */
static struct reply take_clear(struct state *s, const struct sale *sale, const struct step *step)
{
	(void)sale, (void)step;
	if (mutant == TOLD_ANY || equal(s->hub, s->totals))
		clear_hub_told(s);
	return done;
}

static struct reply take_late(struct state *s, const struct sale *sale, const struct step *step)
{
	struct payment *by = &s->payments[step->at];
	if (step->kind == LATE_CLAIM)
		return claim_for(s, sale, step->at);
	if (step->kind == LATE_LIFT)
		lift(s, s->orders[by->named].customer, by->limit);
	else if (step->kind == LATE_APPLY)
		apply_late(s, sale, step->at, step->order);
	else
		refuse_late(s, step->at);
	return done;
}

static struct reply (*const takers[KINDS])(struct state *s, const struct sale *sale, const struct step *step) = {
	[CLAIM] = take_claim,       [DRAIN] = take_drain,     [BURY] = take_drain,      [PAY] = take_payment,
	[PAY_WRONG] = take_payment, [REFUND] = take_refund,   [CANCEL] = take_cancel,   [SELLER_CANCEL] = take_cancel,
	[EXPIRE] = take_expiry,     [RELEASE] = take_release, [FORGET] = take_forget,   [TELL] = take_tell,
	[CLEAR] = take_clear,       [LATE_CLAIM] = take_late, [LATE_LIFT] = take_late, [LATE_APPLY] = take_late, [LATE_REFUSE] = take_late,
};

struct reply step_take(struct state *s, const struct sale *sale, const struct step *step)
{
	struct reply r = takers[step->kind](s, sale, step);
	if (mutant == NO_MUTANT)
		drop_inert(s);
	return r;
}
