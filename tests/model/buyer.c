/*
 * A single worker: src/stock/refill.c without faults and without other workers. From every state that faults and other
 * workers can lead to, it must sell a unit that is left to any claimer.
 */
#include "model/model.h"

enum { SCRIPTS_MOST = 64 }; /* far above what is needed; see the figures that main.c prints */

struct worker {
	struct state state;
	const struct sale *sale;
	int scripts, waited;
};

/* A probe: segment j sends back what is left, and a grant that j never received is delivered. Returns its report. */
static struct report probe(struct worker *w, int j, int granted, int taken)
{
	struct reply debited = debit_lua(&w->state, j, true);
	if (granted > debited.values[1] && keeps(NO_REDELIVERY)) {
		claim_lua(&w->state, j, 0, granted, taken);
		w->scripts++;
	}
	w->scripts++;
	return (struct report){ j, debited.values[1], debited.values[2], debited.values[0] };
}

/* A refill: true with the totals to credit; false when the hub says "sold out". */
static bool refill(struct worker *w, int segment, int received, int sent, int credit[2])
{
	struct report heard[SEGMENTS];
	int count = 0;
	for (int probes = 1; w->scripts < SCRIPTS_MOST; probes *= 2) {
		struct report home = { segment, received, sent, 0 };
		struct reply r = exchange_lua(&w->state, w->sale, home, 1, probes, heard, count, w->waited);
		w->scripts++;
		if (r.word == SOLDOUT || r.word == HELD)
			return false;
		if (r.word == LATER) { /* the claim waits, and starts again */
			w->state.clock++;
			w->waited = r.values[0];
			return true;
		}
		credit[0] = r.values[0];
		credit[1] = r.values[1];
		if (r.word == GRANT || (r.word == NONE && r.values[0] > received))
			return true;
		count = 0;
		for (int i = 2; i < r.count; i += 3)
			heard[count++] = probe(w, r.values[i], r.values[i + 1], r.values[i + 2]);
	}
	return true;
}

/* The answer to claimer c, after any flag has expired and the hub grants again. */
static enum word buy(struct worker *w, int c)
{
	int segment = w->sale->home[c], credit[2] = { -1, 0 };
	while (w->scripts < SCRIPTS_MOST) {
		struct reply r = claim_lua(&w->state, segment, user_of(c), credit[0], credit[1]);
		w->scripts++;
		credit[0] = -1;
		if (r.word == SOLDOUT || r.word == HELD)
			w->state.clock++;
		else if (r.word != NEED)
			return r.word;
		else if (!refill(w, segment, r.values[0], r.values[1], credit))
			return SOLDOUT;
	}
	return NOTHING;
}

/* A promoter alone, src/waiting: does what is outstanding, brings units back to the hub, promotes from the head on. */

static void bring_back(struct worker *w, int i)
{
	struct reply r = debit_lua(&w->state, i, true);
	exchange_lua(&w->state, w->sale, (struct report){ i, r.values[1], r.values[2], r.values[0] }, 0, 0, NULL, 0, 0);
	int told = w->state.hub.with[i].granted - promised_units(&w->state, i);
	if (told > r.values[1])
		claim_lua(&w->state, i, 0, told, w->state.hub.with[i].taken);
}

static void finish_promotion(struct worker *w, int i)
{
	int first = promised_to(&w->state, i, 0), second = promised_to(&w->state, i, 1);
	if (!first)
		return;
	struct reply r = award_lua(&w->state, i, w->state.hub.with[i].granted, first, second);
	promoted_lua(&w->state, i, first, second);
	exchange_lua(&w->state, w->sale, (struct report){ i, r.values[1], r.values[2], r.values[0] }, 0, 0, NULL, 0, 0);
}

static bool promote_first(struct worker *w)
{
	for (int c = 0; c < w->sale->claimers; c++)
		if (rank_of(&w->state, c) == 1)
			return promote_lua(&w->state, w->state.hub.epoch, 0, user_of(c), w->sale->home[c], 0).values[0] == 1;
	return false;
}

static const char *promote_all(struct worker *w)
{
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < w->sale->segments; i++)
			finish_promotion(w, i);
		if (!promote_first(w) && w->state.ranks)
			for (int i = 0; i < w->sale->segments; i++)
				bring_back(w, i);
	}
	if (w->state.ranks && unsold(&w->state) > 0)
		return "a promoter alone leaves somebody waiting, and units are left";
	return check_state(&w->state, w->sale);
}

/* A drainer alone: the sale is resumed, and what the seller has asked for is withdrawn, or given up. */
static const char *finish_steering(struct worker *w)
{
	struct steered *t = &w->state.steered;
	t->versions = 0;
	for (int round = 0; t->asked; round++) {
		struct reply r = withdraw_lua(&w->state, w->sale, (int)t->asked, (int)t->missed);
		t->withdrawn = t->hub_withdrawn;
		t->missed = t->hub_missed;
		if (r.word == OK)
			return t->asked == t->withdrawn + t->missed ? check_state(&w->state, w->sale)
								     : "a withdrawal is done, and not what was asked for";
		if (round == 4)
			return "a drainer alone does not finish a withdrawal";
		for (int i = 0; i < w->sale->segments; i++)
			bring_back(w, i);
	}
	return NULL;
}

const char *check_buyers(const struct state *s, const struct sale *sale, int *most_scripts)
{
	struct worker served = { *s, sale, 0, 0 };
	const char *wrong = finish_steering(&served);
	if (sale->waits) {
		for (int i = 0; i < sale->segments; i++)
			open_segment_lua(&served.state, i, sale->first[i]);
		wrong = promote_all(&served);
	}
	for (int c = 0; c < sale->claimers && unsold(&served.state) > 0 && !wrong; c++) {
		struct worker w = served;
		if (w.state.claimers[c].order)
			continue;
		for (int i = 0; i < sale->segments; i++)
			open_segment_lua(&w.state, i, sale->first[i]);
		enum word told = buy(&w, c);
		if (told != WON)
			return told == NOTHING ? "a worker alone does not finish"
					       : "a worker alone does not sell, and units are left";
		if (w.scripts > *most_scripts)
			*most_scripts = w.scripts;
	}
	return wrong;
}
