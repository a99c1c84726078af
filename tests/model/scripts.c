/*
 * lua/, line by line, with the names of the Lua. Left out: the generation (a segment that was not made yet answers
 * FENCED), the window and the state ended, and the contents of the order list. Redis's TIME is the clock of
 * the state. When it is set back, the moments of leases change to FAR instead. LEASE is the second of a flag, KEPT the
 * 600 ms of a worker's sold-out notice.
 */
#include "model/model.h"

const char *const word_names[WORDS] = {
	[WON] = "WON",     [MINE] = "MINE", [NEED] = "NEED",     [SOLDOUT] = "SOLDOUT", [HELD] = "HELD", [OK] = "OK",
	[GRANT] = "GRANT", [NONE] = "NONE", [LATER] = "LATER", [JOINED] = "JOINED", [WAITS] = "WAITS",
	[PROMOTED] = "PROMOTED", [UNITS] = "UNITS", [LEFT] = "LEFT", [OTHER] = "OTHER", [PAUSED] = "PAUSED", [MORE] = "MORE", [FENCED] = "FENCED", [REGRESS] = "REGRESS"
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
	if (is_paused(s, segment))
		return REPLY(PAUSED);
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

static bool may_come_back(const struct state *s)
{
	const struct hub *h = &s->hub;
	return h->pays && h->amount - (int)s->steered.hub_withdrawn > h->final - h->final_cancelled;
}

static struct reply say_sold_out(struct state *s)
{
	struct hub *h = &s->hub;
	bool held = may_come_back(s) && (h->sold_out != 1 || !keeps(HELD_WITHIN_EPOCH));
	h->epoch += !h->sold_out;
	h->sold_out = held ? 2 : 1;
	return REPLY(held ? HELD : SOLDOUT, h->epoch, s->clock + LEASE);
}

/* What anybody but award.lua is told. */
static int told_granted(const struct state *s, int i)
{
	return s->hub.with[i].granted - (keeps(PROMISE_TOLD) ? promised_units(s, i) : 0);
}

static struct reply totals(const struct state *s, int i, enum word word)
{
	return REPLY(word, keeps(CREDIT_AMOUNTS) ? told_granted(s, i) : 0, s->hub.with[i].taken);
}

/* What the seller wants back comes first. Returns how many units more are wanted. */
static int take_wanted(struct state *s)
{
	struct steered *t = &s->steered;
	int wanted = (int)t->hub_asked - (int)t->hub_missed - (int)t->hub_withdrawn, units = min(wanted, s->hub.avail);
	if (units <= 0)
		return wanted;
	if (keeps(WITHDRAW_KEEPS_AVAIL))
		s->hub.avail -= units;
	t->hub_withdrawn += (unsigned)units;
	return wanted - units;
}

struct reply steer_lua(struct state *s, const struct sale *sale, int slot, int version)
{
	if (slot < sale->segments && !s->segments[slot].made)
		return fenced;
	if (version > version_of(s, slot) || !keeps(ANY_VERSION))
		s->steered.versions = (s->steered.versions & ~(UINT64_C(3) << 2 * slot)) | (unsigned)version << 2 * slot;
	return REPLY(OK, version_of(s, slot));
}

struct reply withdraw_lua(struct state *s, const struct sale *sale, int asked, int missed)
{
	struct steered *t = &s->steered;
	if (!keeps(WITHDRAW_AMOUNTS))
		asked += t->hub_asked < 4 ? (int)t->hub_asked : 0;
	t->hub_asked = (unsigned)max((int)t->hub_asked, asked);
	t->hub_missed = (unsigned)max((int)t->hub_missed, missed);
	if (!keeps(MISSED_FORGOTTEN))
		t->hub_missed = 0;
	int wanted = take_wanted(s);
	if (wanted > 0 && s->hub.avail == 0 && (s->hub.empty == all_segments(sale) || !keeps(HASTY_MISSED))) {
		t->hub_missed += (unsigned)wanted;
		wanted = 0;
	}
	return REPLY(wanted > 0 ? MORE : OK, (int)t->hub_withdrawn, (int)t->hub_missed);
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
	take_wanted(s);
	if (want == 0)
		return totals(s, i, OK);
	if (is_paused(s, sale->segments))
		return REPLY(PAUSED);
	if (queue_of(s) && (h->avail > 0 || h->empty != all_segments(sale)) && keeps(QUEUE_NOT_ASKED))
		return REPLY(HELD, h->epoch, keeps(QUEUE_FLAGS) ? 0 : s->clock + LEASE);
	if (promised_units(s, i) && keeps(GRANT_WITH_PROMISE))
		return keeps(HELD_WITH_PROMISE) ? REPLY(LATER, h->epoch) : REPLY(HELD, h->epoch, 0);
	if (h->avail > 0 && h->opening && keeps(GRANT_AT_ONCE)) {
		if (!ends_opening(h, waited))
			return REPLY(LATER, h->epoch);
		h->opening = 0;
	}
	if (h->avail > 0)
		return grant(h, sale, i, want);
	if (h->empty == all_segments(sale))
		return say_sold_out(s);

	struct reply reply = totals(s, i, NONE);
	for (int step = 1; step < sale->segments; step++) {
		int j = (i + step) % sale->segments;
		if (reply.count - 2 >= 3 * probes)
			break;
		if (!(h->empty >> j & 1)) {
			reply.values[reply.count++] = j;
			reply.values[reply.count++] = told_granted(s, j);
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

/* The waiting list. A ticket is a place here: places are renumbered when somebody leaves. */

static void set_rank(struct state *s, int claimer, int rank)
{
	s->ranks = (uint8_t)((s->ranks & ~(3u << 2 * claimer)) | (unsigned)rank << 2 * claimer);
}

static void take_off(struct state *s, int claimer)
{
	int was = rank_of(s, claimer);
	set_rank(s, claimer, 0);
	for (int c = 0; c < 3; c++)
		if (was && rank_of(s, c) > was)
			set_rank(s, c, rank_of(s, c) - 1);
}

struct reply join_lua(struct state *s, int segment, int user)
{
	int rank = rank_of(s, user - 1);
	if (rank)
		return REPLY(WAITS, rank);
	if (is_promised(s, segment, user))
		return REPLY(PROMOTED);
	if (!s->hub.sold_out && !s->ranks && keeps(JOIN_WITH_UNITS))
		return REPLY(UNITS);
	set_rank(s, user - 1, queue_of(s) + 1);
	return REPLY(JOINED, rank_of(s, user - 1));
}

struct reply leave_lua(struct state *s, int segment, int user)
{
	if (!rank_of(s, user - 1))
		return REPLY(is_promised(s, segment, user) ? PROMOTED : NONE);
	take_off(s, user - 1);
	return REPLY(LEFT);
}

static void promise(struct state *s, int segment, int first, int second)
{
	s->promised &= (uint16_t) ~(15u << 4 * segment | 1u << (12 + segment));
	s->promised |= (uint16_t)((unsigned)first << 4 * segment | (unsigned)second << (4 * segment + 2));
}

/* One entry, and perhaps another one of the same home right behind it. The entries of a call that have other homes are
 * other calls. */
struct reply promote_lua(struct state *s, int waited, int skipped, int user, int segment, int next)
{
	struct hub *h = &s->hub;
	int units = 1;
	if (h->avail > 0 && h->opening && keeps(PROMOTE_AT_ONCE)) {
		if (!ends_opening(h, waited))
			return REPLY(LATER, h->epoch);
		h->opening = 0;
	}
	if (rank_of(s, user - 1) != skipped + 1 && keeps(PROMOTE_ANY_RANK))
		return REPLY(OK, 0);
	if (h->avail == 0 || (promised_units(s, segment) && keeps(SECOND_PROMOTION)))
		return REPLY(OK, 0);
	if (next && rank_of(s, next - 1) == skipped + 2 && h->avail > 1)
		units = 2;
	promise(s, segment, user, units == 2 ? next : 0);
	take_off(s, user - 1);
	if (units == 2)
		take_off(s, next - 1);
	h->avail -= units;
	h->with[segment].granted += units;
	h->empty &= ~one_segment(segment);
	return REPLY(OK, units);
}

static void award_unit(struct state *s, struct segment *g, int user)
{
	struct claimer *c = &s->claimers[user - 1];
	if (!keeps(AWARD_CREDITS)) {
		g->left++;
	} else if (c->order) {
		g->sent += keeps(UNIT_STAYS);
		g->left += !keeps(UNIT_STAYS);
	} else {
		g->n++;
		c->order = g->n;
		c->live = 1;
		c->paid = 0;
	}
}

struct reply award_lua(struct state *s, int segment, int granted, int first, int second)
{
	struct segment *g = &s->segments[segment];
	int units = 1 + !!second;
	if (!g->made)
		return fenced;
	if (g->received < granted || !keeps(AWARD_AGAIN)) {
		g->left += granted - units - g->received;
		g->received = (field)granted;
		award_unit(s, g, first);
		if (second)
			award_unit(s, g, second);
		s->promised |= (uint16_t)(1u << (12 + segment));
	}
	return REPLY(OK, g->left, g->received, g->sent);
}

struct reply promoted_lua(struct state *s, int segment, int first, int second)
{
	if (!first || promised_to(s, segment, 0) != first || promised_to(s, segment, 1) != second)
		return REPLY(OTHER);
	promise(s, segment, 0, 0);
	return REPLY(OK, queue_of(s));
}
