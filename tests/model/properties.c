/* What must hold: in every state, and of every step. */
#include "model/model.h"

int sold(const struct state *s)
{
	return s->segments[0].n + s->segments[1].n + s->segments[2].n;
}

static int supplied(const struct state *s)
{
	return s->hub.amount + s->hub.cancelled - s->steered.hub_withdrawn;
}

struct totals counted_in_mysql(const struct state *s, const struct sale *sale)
{
	struct totals t = { .amount = sale->units + (s->suppliers[SELLER].supply >= COMMITTED ? sale->adds : 0),
			    .cancelled = s->over.user > 0,
			    .final = s->over.was_final,
			    .final_cancelled = s->over.was_final,
			    .pays = sale->pays };
	for (int c = 0; c < sale->claimers; c++)
		t.final += s->claimers[c].paid;
	return t;
}

/* Orders that are not cancelled; those of them that are not paid may still give their units back. */
static int live(const struct state *s, bool and_unpaid)
{
	int count = 0;
	for (int c = 0; c < CLAIMERS; c++)
		count += s->claimers[c].live && !(and_unpaid && s->claimers[c].paid);
	return count;
}

/* At the hub, in the segments, or between them. */
int unsold(const struct state *s)
{
	return supplied(s) - sold(s);
}

/* In every state */

static const char *check_segment(const struct state *s, int i)
{
	const struct segment *g = &s->segments[i];
	if (g->received > s->hub.with[i].granted && g->made)
		return "a segment has received more than was granted";
	if (s->hub.with[i].taken > g->sent)
		return "the hub has taken back more than was sent";
	if (g->left + g->sent + g->n != g->received)
		return "left is not received - sent - sold";
	return NULL;
}

static int counted(const struct state *s, const struct sale *sale)
{
	int units = s->hub.avail;
	for (int i = 0; i < sale->segments; i++) {
		const struct segment *g = &s->segments[i];
		units += s->hub.with[i].granted - g->received + g->sent - s->hub.with[i].taken + g->left + g->n;
	}
	return units;
}

const char *check_state(const struct state *s, const struct sale *sale)
{
	const char *wrong = s->hub.avail > COUNT_MOST ? "the hub holds less than nothing" : NULL; /* -1 is 15 */
	for (int i = 0; i < sale->segments && !wrong; i++)
		wrong = check_segment(s, i);
	if (wrong)
		return wrong;
	if (sold(s) > supplied(s))
		return "more was sold than was supplied";
	if (counted(s, sale) != supplied(s))
		return "supplied is not hub + in flight + left + sold";
	struct totals mysql = counted_in_mysql(s, sale);
	const struct steered *t = &s->steered;
	if (t->withdrawn > t->hub_withdrawn || t->missed > t->hub_missed)
		return "MySQL has more as withdrawn or given up than the hub";
	if (t->hub_withdrawn + t->hub_missed > t->asked)
		return "more is withdrawn and given up than was asked for";
	if (s->hub.amount + s->hub.cancelled > mysql.amount + mysql.cancelled)
		return "more is on sale than MySQL has";
	if (live(s, false) > mysql.amount)
		return "more orders are live than there are units";
	return NULL;
}

/* Of every step */

static const char *judge_claim(const struct state *before, struct state *s, const struct sale *sale, const struct step *step,
			       const struct reply *r)
{
	struct claimer *c = &s->claimers[step->at];
	const struct claimer *old = &before->claimers[step->at];
	int segment = sale->home[step->at];
	switch (r->word) {
	case WON:
		c->request = IDLE;
		if (before->steered.acknowledged & 1 && before->steered.acknowledged == before->steered.decided)
			return "a customer wins in a sale whose pause is acknowledged";
		if (before->ranks)
			return "a customer wins who did not wait, and others wait";
		if (promised_units(before, segment))
			return "a customer wins a unit of a promotion";
		return old->live ? "a customer has a second order" : NULL;
	case MINE:
		return r->values[0] != old->order ? "a customer was told another order" : NULL;
	case SOLDOUT:
	case HELD:
		c->request = IDLE;
		if (old->live)
			return "a flag refused a customer who has an order";
		if (before->reopened)
			return "a stale flag refused a claim after the supply was acknowledged, and units are left";
		if (!before->emptied && old->request < SEEN)
			return "a flag refused a claim, but a unit was left during the whole request and a lease before it";
		return NULL;
	case NEED:
		if (c->request == IDLE)
			c->request = BEGAN;
		return NULL;
	default:
		return NULL;
	}
}

/* Within the tick of the notice, which was true: there was an instant when nothing was left. */
static const char *judge_refusal(const struct state *before, int c)
{
	if (before->claimers[c].live)
		return "a worker refused a customer who has an order, by a sold-out notice";
	if (before->reopened)
		return "a worker refused by an old sold-out notice after the supply was acknowledged, and units are left";
	return NULL;
}

/* Of the units that are not sold, those that are for nobody yet. */
static int unpromised(const struct state *s)
{
	int units = unsold(s);
	for (int i = 0; i < SEGMENTS; i++)
		units -= is_awarded(s, i) ? 0 : promised_units(s, i);
	return units;
}

/* The hub said "sold out": claims from this segment that are under way may be answered so. */
static const char *judge_word(const struct state *before, struct state *s, const struct sale *sale, int segment,
			      const struct reply *r)
{
	bool by_queue = r->word == HELD && (r->values[1] == 0 || !keeps(QUEUE_FLAGS)) && before->ranks;
	if (s->hub.sold_out == 1 && before->hub.sold_out != 1 && s->hub.pays && live(s, true) > 0)
		return "the hub says \"sold out\" for good, and an order that is not paid may give its unit back";
	if (r->word == HELD && r->values[1] == 0 && !by_queue && unpromised(s) > 0)
		return "\"all are held\" is said, and units are left that are for nobody";
	if (!by_queue && r->values[1] && (unsold(s) > 0 || s->hub.avail > 0))
		return "the hub says \"sold out\", and units are left or in flight";
	for (int c = 0; c < sale->claimers; c++)
		if (sale->home[c] == segment && s->claimers[c].request != IDLE)
			s->claimers[c].request = HEARD;
	return NULL;
}

static const char *judge_answer(const struct state *before, struct state *s, const struct step *step)
{
	s->claimers[step->at].request = IDLE;
	if (before->claimers[step->at].request < SEEN)
		return "\"sold out\" was answered, but a unit was left during the whole request";
	return NULL;
}

/* Of those who wait nobody is overtaken, but for whom the promoter does not reach. */
static const char *judge_promotion(const struct state *before, const struct step *step, const struct reply *r)
{
	if (r->word != OK || !r->values[0])
		return NULL;
	if (!rank_of(before, step->at))
		return "somebody is promoted who does not wait";
	if (rank_of(before, step->at) != step->args[0] + 1)
		return "somebody is promoted before others who came earlier";
	return NULL;
}

static bool is_on_list(const struct state *s, const struct sale *sale, int c)
{
	return rank_of(s, c) || is_promised(s, sale->home[c], user_of(c));
}

/* Whoever waits leaves or gets a unit; each place is used once. */
static const char *judge_list(const struct state *before, const struct state *s, const struct sale *sale,
			      const struct step *step)
{
	for (int c = 0; c < sale->claimers; c++) {
		bool is_done = step->kind == CLEAR && is_awarded(before, step->at) && sale->home[c] == step->at;
		if (rank_of(s, c) && is_promised(s, sale->home[c], user_of(c)) && step->kind == PROMOTE)
			return "somebody is promoted and still waits";
		if (is_on_list(before, sale, c) && !is_on_list(s, sale, c) && !is_done &&
		    !(step->kind == LEAVE && step->at == c))
			return "somebody waited, and is forgotten";
	}
	return NULL;
}

/* What is given up was nowhere; what was found was at the hub. */
static const char *judge_withdrawal(const struct state *before, const struct state *s)
{
	const struct steered *now = &s->steered, *was = &before->steered;
	if (now->hub_missed > was->hub_missed && now->hub_missed > was->missed && unsold(s) > 0)
		return "units are given up, and some are left";
	if (now->hub_withdrawn - was->hub_withdrawn > before->hub.avail)
		return "more is withdrawn than the hub has";
	return NULL;
}

static const char *judge_scan(const struct state *s, const struct sale *sale)
{
	if (s->scanned == (1u << (sale->segments + 1)) - 1 && s->claimers[0].request < SEEN)
		return "\"sold out\" was answered after a scan, but a unit was left during the whole request";
	return NULL;
}

/* Nothing is left: claims under way have seen it, and earlier supplies no longer promise a unit. */
static void note_sold_out(struct state *s)
{
	s->emptied = LEASE;
	s->reopened = 0;
	for (int c = 0; c < CLAIMERS; c++)
		if (s->claimers[c].request == BEGAN)
			s->claimers[c].request = SEEN;
	for (int k = 0; k < SUPPLIERS; k++)
		if (s->suppliers[k].supply == TOLD)
			s->suppliers[k].supply = SETTLED;
}

/* Watch bits that are not needed are made equal. */
static void forget(struct state *s, const struct sale *sale)
{
	for (int c = 0; c < CLAIMERS; c++)
		if (!sale->requests || s->claimers[c].order)
			s->claimers[c].request = IDLE;
	for (int k = 0; k < SUPPLIERS; k++)
		if (s->suppliers[k].supply == SETTLED)
			s->suppliers[k] = (struct supplier){ .supply = SETTLED };
	if (s->claimers[0].request == IDLE)
		s->scanned = 0;
}

const char *judge(const struct state *before, struct state *s, const struct sale *sale, const struct step *step,
		  const struct reply *r)
{
	const char *wrong = NULL;
	if (r->word == REGRESS)
		return "a script answered REGRESS";
	if (step->kind == CLAIM)
		wrong = judge_claim(before, s, sale, step, r);
	else if (step->kind == EXCHANGE && (r->word == SOLDOUT || r->word == HELD))
		wrong = judge_word(before, s, sale, step->at, r);
	else if (step->kind == REFUSE)
		wrong = judge_refusal(before, step->at);
	else if (step->kind == ANSWER)
		wrong = judge_answer(before, s, step);
	else if (step->kind == PROMOTE)
		wrong = judge_promotion(before, step, r);
	else if (step->kind == WITHDRAW)
		wrong = judge_withdrawal(before, s);
	else if (step->kind == SCAN)
		wrong = judge_scan(s, sale);
	else if (step->kind == GIVE_UP)
		s->claimers[step->at].request = IDLE;
	if (!wrong && sale->waits)
		wrong = judge_list(before, s, sale, step);
	if (unsold(s) == 0)
		note_sold_out(s);
	forget(s, sale);
	return wrong;
}
