/* What must hold: in every state, of every step, and when all jobs have run to their end. */
#include "model/life/life.h"

#include <string.h>

struct books {
	int live, rows, over, over_final, final, unsettled;
	int of[CUSTOMERS], ends[CUSTOMERS]; /* live orders of each customer, and those over that the customer let end */
};

static struct books books_of(const struct state *s)
{
	struct books b = { 0 };
	for (int n = 1; n <= ORDERS; n++) {
		const struct order *o = &s->orders[n];
		b.live += is_live(o);
		b.rows += o->status == PENDING || o->status == PAID;
		b.final += o->status == PAID || o->status == DEAD;
		b.unsettled += o->status == QUEUED || o->status == PENDING;
		b.over += is_over(o);
		b.over_final += is_over(o) && o->over_final;
		b.of[o->customer] += is_live(o);
		b.ends[o->customer] += is_over(o) && !o->by_seller;
	}
	return b;
}

/* In every state */

static const char *check_money(const struct state *s)
{
	int payers[ORDERS + 1] = { 0 };
	for (int p = 0; p < PAYMENTS; p++) {
		const struct payment *by = &s->payments[p];
		payers[by->pays] += by->named != 0;
		if (by->pays && s->orders[by->pays].status != PAID)
			return "a payment pays an order that is not paid";
		if (by->pays && by->late)
			return "a unit is looked for, for a payment that pays an order";
		if (by->pays && !by->right)
			return "a payment of another amount pays an order";
		if (by->late && by->refunded)
			return "a unit is looked for, for a payment that was refunded";
	}
	for (int n = 1; n <= ORDERS; n++)
		if ((s->orders[n].status == PAID) != payers[n])
			return "a paid order does not have one payment";
	return NULL;
}

static const char *check_mysql(const struct state *s, const struct sale *sale, const struct books *b)
{
	if (s->sold != b->rows)
		return "coupons.sold is not the number of live rows";
	if (s->totals.cancelled != b->over)
		return "coupons.cancelled is not the number of orders that are over";
	if (sale->asks_payment && s->totals.final - s->totals.final_cancelled != b->final)
		return "final - final_cancelled is not the number of final orders";
	if (s->totals.final_cancelled != b->over_final)
		return "final_cancelled is not the number of final orders that are over";
	return NULL;
}

static int entries(const struct state *s)
{
	int count = 0;
	for (int c = 0; c < CUSTOMERS; c++)
		count += s->owners[c].number != 0;
	return count;
}

const char *check_state(const struct state *s, const struct sale *sale)
{
	struct books b = books_of(s);
	const char *wrong = check_money(s);
	if (b.live > sale->units)
		return "more units are sold to live orders than there are";
	if (s->hub.cancelled > b.over)
		return "a unit came back twice, or before its order was over";
	if (s->claimed != entries(s) + s->unowned)
		return "owners were removed that unowned does not count: the segment will seem to have lost them";
	for (int c = 0; c < CUSTOMERS; c++)
		if (b.of[c] > 1)
			return "a customer has two live orders";
	return wrong ? wrong : check_mysql(s, sale, &b);
}

/* Of every step */

/* Whether this step may bring an order from one status to the other. */
static bool may_become(enum kind kind, enum status from, enum status to)
{
	switch (to) {
	case QUEUED:
		return from == NONE && (kind == CLAIM || kind == LATE_CLAIM);
	case PENDING:
		return from == QUEUED && kind == DRAIN;
	case DEAD:
		return from == QUEUED && kind == BURY;
	case PAID:
		return from == PENDING && (kind == PAY || kind == LATE_APPLY);
	case CANCELLED:
		return (from == PENDING && kind == CANCEL) ||
		       ((from == PENDING || from == PAID) && kind == SELLER_CANCEL);
	case EXPIRED:
		return from == PENDING && kind == EXPIRE;
	default:
		return false;
	}
}

static const char *check_payment(const struct payment *old, const struct payment *by)
{
	if (by->pays && old->named && !old->pays && !old->late)
		return "a payment pays an order, and was to be refunded before";
	return NULL;
}

const char *check_step(const struct state *before, const struct state *s, const struct sale *sale,
		       const struct step *step, struct reply r)
{
	const char *wrong = NULL;
	for (int n = 1; n <= ORDERS; n++) {
		enum status from = before->orders[n].status, to = s->orders[n].status;
		if (from != to && !may_become((enum kind)step->kind, from, to))
			return "an order ends twice, or is ended by somebody who may not";
	}
	for (int p = 0; p < PAYMENTS && !wrong; p++)
		wrong = check_payment(&before->payments[p], &s->payments[p]);
	if (r.word == REFUSED)
		return "MySQL refuses a row: two live orders of a customer, or more than there are units";
	if (r.word == SOLD_OUT && sale->asks_payment && before->word != SOLD_OUT && books_of(s).unsettled)
		return "the hub says \"sold out\" for good, and an order may still expire";
	return wrong;
}

/* At rest */

static const char *check_customer(const struct state *s, const struct sale *sale, const struct books *b, int c)
{
	const struct owner *own = &s->owners[c];
	if (own->tombstone)
		return b->ends[c] >= sale->ends && !b->of[c] ? NULL
							     : "a customer may not claim any more, after too few ends";
	if (own->number)
		return is_live(&s->orders[own->number]) ? NULL : "the owner of an order that is over is not removed";
	if (b->ends[c] >= sale->ends && !own->lifted)
		return "a customer may claim again after too many ends";
	struct state next = *s;
	enum word word = claim(&next, sale, c).word;
	if ((word == WON) != (b->live < sale->units))
		return word == WON ? "a unit is sold that is not there" : "a customer is refused, and a unit is left";
	if (word == HELD && !b->unsettled)
		return "all units are final, and the hub still says that they may come back";
	return NULL;
}

static const char *check_jobs(const struct state *s)
{
	for (int n = 1; n <= ORDERS; n++) {
		if (s->orders[n].returned)
			return "an order is left in returned_orders";
		if (s->orders[n].status == QUEUED)
			return "an order is left on its list";
		if (s->orders[n].unpaid && s->orders[n].status != PENDING)
			return "an order is left in unpaid_orders";
	}
	for (int p = 0; p < PAYMENTS; p++)
		if (s->payments[p].late)
			return "a payment is late for ever";
	return s->hub_told ? NULL : "the hub is not told";
}

const char *check_rest(const struct state *s, const struct sale *sale)
{
	struct books b = books_of(s);
	const char *wrong = check_jobs(s);
	if (memcmp(&s->hub, &s->totals, sizeof s->hub) != 0)
		return "the hub does not have MySQL's totals";
	if (available(s, sale) != sale->units - b.live)
		return "what is available is not what no live order has";
	for (int c = 0; c < sale->customers && !wrong; c++)
		wrong = check_customer(s, sale, &b, c);
	return wrong ? wrong : check_state(s, sale);
}
