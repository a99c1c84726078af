/*
 * lua/, line by line, with the names of the Lua. Left out: the generation (a segment that was not made yet answers
 * FENCED), the window and the states paused and ended, and the contents of the order list. Redis's TIME is the clock of
 * the state. When it is set back, the moments of leases change to FAR instead. LEASE is the second of a flag, KEPT the
 * 600 ms of a worker's sold-out notice.
 */
#include "model/model.h"

const char *const word_names[WORDS] = {
	[WON] = "WON",     [MINE] = "MINE", [NEED] = "NEED",     [SOLDOUT] = "SOLDOUT", [HELD] = "HELD", [OK] = "OK",
	[GRANT] = "GRANT", [NONE] = "NONE", [LATER] = "LATER", [FENCED] = "FENCED", [REGRESS] = "REGRESS"
};

#define REPLY(word, ...) ((struct reply){ word, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), { __VA_ARGS__ } })

struct tuning tuning = SHIPPED;

static const struct reply fenced = { FENCED, 0, { 0 } }, regress = { REGRESS, 0, { 0 } };

static int max(int a, int b)
{
	return a > b ? a : b;
}

static int min(int a, int b)
{
	return a < b ? a : b;
}

struct reply open_segment_lua(struct state *s, int segment, int units)
{
	struct segment *g = &s->segments[segment];
	if (g->made)
		return REPLY(OK, 0);
	*g = (struct segment){ .left = (field)units, .received = (field)units, .made = 1 };
	return REPLY(OK, 1);
}

static void credit(struct segment *g, int granted)
{
	if (!keeps(CREDIT_AMOUNTS))
		granted += g->received;
	if (granted > g->received) {
		g->left += granted - g->received;
		g->received = granted;
		g->until = 0;
	}
}

static bool is_lease(const struct state *s, int until)
{
	return until <= s->clock + LEASE;
}

struct reply claim_lua(struct state *s, int segment, int user, int granted, int taken)
{
	struct segment *g = &s->segments[segment];
	if (!g->made)
		return fenced;
	if (granted >= 0) {
		if (taken > g->sent)
			return regress;
		credit(g, granted);
	}
	if (!user)
		return REPLY(OK, g->left, g->received, g->sent);
	struct claimer *mine = &s->claimers[user - 1];
	if (mine->order && keeps(NO_OWNER_LOOKUP))
		return REPLY(MINE, mine->order);
	if (g->left == 0) {
		if (s->clock < g->until && (is_lease(s, g->until) || !keeps(LEASE_OUTLIVES_CLOCK)))
			return REPLY(g->held ? HELD : SOLDOUT, g->epoch);
		return REPLY(NEED, g->received, keeps(RETURN_AMOUNTS) ? g->sent : 0);
	}
	g->n++;
	g->left--;
	mine->order = g->n;
	mine->live = 1;
	mine->paid = 0;
	return REPLY(WON, g->n, g->left);
}

static int sent_back(int left)
{
	return tuning.back == RETURN_ONE ? 1 : tuning.back == RETURN_ALL ? left : (left + 1) / 2;
}

struct reply debit_lua(struct state *s, int segment, bool back)
{
	struct segment *g = &s->segments[segment];
	int units = 0;
	if (!g->made)
		return fenced;
	if (back && g->left > 0) {
		units = sent_back(g->left);
		g->left -= units;
		g->sent += units;
	}
	return REPLY(OK, g->left, g->received, keeps(RETURN_AMOUNTS) ? g->sent : units);
}

/* The hub takes the total that was sent back. */
static void take_back(struct hub *h, int i, int sent)
{
	int taken = h->with[i].taken;
	if (!keeps(RETURN_AMOUNTS))
		sent += taken;
	if (sent > taken || !keeps(NO_R_COMPARISON)) {
		h->avail += sent - taken;
		h->with[i].taken = sent;
		if (h->sold_out) {
			h->sold_out = 0;
			h->epoch++;
		}
	}
}

static bool reports_empty(const struct hub *h, const struct report *r)
{
	bool same_G = r->received == h->with[r->segment].granted || !keeps(NO_G_COMPARISON);
	bool same_R = r->sent == h->with[r->segment].taken || !keeps(NO_R_COMPARISON_IN_MARK) || !keeps(RETURN_AMOUNTS);
	return r->left == 0 && same_G && same_R;
}

static void hear(struct hub *h, const struct report *r)
{
	take_back(h, r->segment, r->sent);
	if (reports_empty(h, r))
		h->empty |= one_segment(r->segment);
}

static bool ends_opening(const struct hub *h, int waited)
{
	return waited == h->epoch || (waited && !keeps(ANY_WAIT_OPENS));
}

static struct reply grant(struct hub *h, const struct sale *sale, int i, int want)
{
	int avail = h->avail;
	int units = min(avail, max(want, tuning.chunk_num * avail / (tuning.chunk_den * sale->segments)));
	h->with[i].granted += units;
	h->avail = avail - units;
	if (keeps(GRANT_KEEPS_MARK))
		h->empty &= ~one_segment(i);
	return REPLY(GRANT, keeps(CREDIT_AMOUNTS) ? h->with[i].granted : units, h->with[i].taken);
}

static bool may_come_back(const struct hub *h)
{
	return h->pays && h->amount > h->final - h->final_cancelled;
}

static struct reply say_sold_out(struct state *s)
{
	struct hub *h = &s->hub;
	bool held = may_come_back(h) && (h->sold_out != 1 || !keeps(HELD_WITHIN_EPOCH));
	h->epoch += !h->sold_out;
	h->sold_out = held ? 2 : 1;
	return REPLY(held ? HELD : SOLDOUT, h->epoch, s->clock + LEASE);
}

static struct reply totals(const struct hub *h, int i, enum word word)
{
	return REPLY(word, keeps(CREDIT_AMOUNTS) ? h->with[i].granted : 0, h->with[i].taken);
}

struct reply exchange_lua(struct state *s, const struct sale *sale, struct report home, int want, int probes,
			  const struct report *others, int count, int waited)
{
	struct hub *h = &s->hub;
	int i = home.segment;
	for (int k = -1; k < count; k++) {
		const struct report *r = k < 0 ? &home : &others[k];
		if (r->received > h->with[r->segment].granted)
			return regress;
	}
	hear(h, &home);
	for (int k = 0; k < count; k++)
		hear(h, &others[k]);
	if (want == 0)
		return totals(h, i, OK);
	if (h->avail > 0 && h->opening && keeps(GRANT_AT_ONCE)) {
		if (!ends_opening(h, waited))
			return REPLY(LATER, h->epoch);
		h->opening = 0;
	}
	if (h->avail > 0)
		return grant(h, sale, i, want);
	if (h->empty == all_segments(sale))
		return say_sold_out(s);

	struct reply reply = totals(h, i, NONE);
	for (int step = 1; step < sale->segments; step++) {
		int j = (i + step) % sale->segments;
		if (reply.count - 2 >= 3 * probes)
			break;
		if (!(h->empty >> j & 1)) {
			reply.values[reply.count++] = j;
			reply.values[reply.count++] = h->with[j].granted;
			reply.values[reply.count++] = h->with[j].taken;
		}
	}
	return reply;
}

struct reply flag_lua(struct state *s, int segment, int epoch, int until, bool held)
{
	struct segment *g = &s->segments[segment];
	bool took;
	if (!g->made)
		return fenced;
	if (until == 0) {
		took = epoch > g->epoch || !keeps(ANY_EPOCH_OPENS);
	} else {
		took = (epoch >= g->epoch || !keeps(NO_EPOCH_CHECK)) && g->left == 0;
		until = keeps(RELATIVE_LEASE) ? until : s->clock + LEASE;
		until = is_lease(s, until) ? until : 0;
		if (is_lease(s, g->until) && g->until > until) {
			until = g->until;
			held = g->held;
		}
	}
	if (took) {
		g->epoch = epoch;
		g->until = until;
		g->held = held;
	}
	return REPLY(OK, took);
}

/* Takes the higher totals; returns how many units are new. */
static int take_totals(struct hub *h, const struct totals *told)
{
	int cancelled = keeps(CANCELLED_AMOUNTS) ? told->cancelled : h->cancelled + told->cancelled;
	int before = h->amount + h->cancelled;
	h->amount = max(h->amount, told->amount);
	h->cancelled = max(h->cancelled, cancelled);
	h->final = max(h->final, told->final);
	h->final_cancelled = max(h->final_cancelled, told->final_cancelled);
	h->pays = max(h->pays, told->pays);
	return keeps(SUPPLY_AMOUNTS) ? h->amount + h->cancelled - before : 1;
}

static void end_epoch(struct hub *h)
{
	bool notices = h->sold_out == 1 && keeps(RETURN_AT_ONCE);
	h->epoch += keeps(h->sold_out == 1 ? SUPPLY_KEEPS_EPOCH : HELD_KEEPS_EPOCH);
	h->opening |= notices;
}

struct reply supply_lua(struct state *s, const struct totals *told, int waited)
{
	struct hub *h = &s->hub;
	int units = take_totals(h, told);
	bool rose = units > 0 && h->sold_out;
	if (ends_opening(h, waited))
		h->opening = 0;
	if (rose)
		end_epoch(h);
	if (units > 0) {
		h->avail += units;
		h->sold_out = 0;
	}
	return REPLY(OK, h->epoch, units, h->opening, rose);
}

struct reply release_lua(struct state *s, int segment, int user, int number)
{
	struct claimer *c = &s->claimers[user - 1];
	bool is_its = c->order == number || (c->order && !keeps(ANY_NUMBER_RELEASED));
	if (!s->segments[segment].made)
		return fenced;
	if (is_its)
		c->order = 0;
	return REPLY(OK, is_its);
}
