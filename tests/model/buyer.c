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

const char *check_buyers(const struct state *s, const struct sale *sale, int *most_scripts)
{
	for (int c = 0; c < sale->claimers && unsold(s) > 0; c++) {
		struct worker w = { *s, sale, 0, 0 };
		if (s->claimers[c].order)
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
	return NULL;
}
