/* The scripts of lua/, each an atomic step, with the names of the Lua; EARLIER as they were before bases and terms. */
#include "model/lossy/lossy.h"

const char *const word_names[WORDS_COUNT] = {
	[OK] = "OK",         [WON] = "WON",           [MINE] = "MINE",       [NEED] = "NEED",
	[GRANT] = "GRANT",   [NONE] = "NONE",         [SOLDOUT] = "SOLDOUT", [LATER] = "LATER",
	[FENCED] = "FENCED", [REPLACED] = "REPLACED", [REGRESS] = "REGRESS", [OTHER] = "OTHER"
};

static int max(int a, int b)
{
	return a > b ? a : b;
}

bool segment_is_open(const struct state *s, int i)
{
	return s->segments[i].now.fence == s->incarnation[i];
}

bool hub_is_open(const struct state *s)
{
	return s->hub.now.fence == s->incarnation[HUB];
}

/* What orders messages: a segment's base, in ranges, and the hub's term; MySQL counts both. */

int segment_base(const struct segment *g)
{
	return keeps(BASE_BY_INCARNATION) ? g->base : g->fence;
}

int hub_term(const struct hub *h)
{
	return keeps(BASE_BY_INCARNATION) ? h->term : h->fence;
}

/* Incarnations of servers are random text: two can be compared for equality, but not ordered. */
bool is_replaced(int base, int known)
{
	return keeps(BASE_BY_INCARNATION) ? base < known : base != known;
}

struct message report_of(const struct segment *g)
{
	return (struct message){ .there = 1,
				 .zero = g->left == 0,
				 .term = g->term,
				 .base = (uint8_t)segment_base(g),
				 .in = g->received,
				 .out = g->sent };
}

int promised_to(const struct hub *h, int i)
{
	return h->promised >> 2 * i & 3;
}

void promise(struct hub *h, int i, int user)
{
	h->promised = (uint8_t)((h->promised & ~(3 << 2 * i)) | user << 2 * i);
}

/* Anybody but award.lua is told the total without the units of a promotion. */
struct message totals_of(const struct hub *h, int i)
{
	return (struct message){ .there = 1,
				 .term = (uint8_t)hub_term(h),
				 .base = h->with[i].base,
				 .in = h->with[i].granted - (promised_to(h, i) && keeps(PROMISE_IN_TOTALS)),
				 .out = h->with[i].taken };
}

/* Segments */

int owners_of(const struct segment *g)
{
	int count = 0;
	for (int c = 0; c < CLAIMERS; c++)
		count += g->own[c].number > 0;
	return count;
}

/* CURRENT: keys of a slot are moved one by one, and the owners may be lost alone. */
bool misses_owners(const struct segment *g)
{
	return rules == CURRENT && keeps(OWNERS_UNSEEN) && g->sold > g->unowned && !owners_of(g);
}

static bool closed_for_owners(struct segment *g)
{
	if (!misses_owners(g))
		return false;
	g->fence = SUSPECT;
	return true;
}

enum word claim(struct state *s, int i, int c, int *number)
{
	struct segment *g = &s->segments[i].now;
	if (!segment_is_open(s, i))
		return FENCED;
	if (closed_for_owners(g))
		return FENCED;
	*number = g->own[c].number;
	if (*number)
		return MINE;
	if (g->paused)
		return OTHER;
	if (!g->left)
		return NEED;
	g->left--;
	g->sold++;
	g->last++;
	g->own[c] = (struct own){ .number = g->last, .listed = 1 };
	*number = g->last;
	return WON;
}

/* Before a repeated claim gets 200: is its order there, under the fence? EARLIER: this is not checked. */
enum word confirm(struct state *s, int i, int c, int number)
{
	if (rules == EARLIER || !keeps(CONFIRM_ANY))
		return OK;
	if (!segment_is_open(s, i))
		return FENCED;
	return s->segments[i].now.own[c].number == number ? OK : OTHER;
}

enum word credit(struct state *s, int i, struct message m)
{
	struct segment *g = &s->segments[i].now;
	if (!segment_is_open(s, i))
		return FENCED;
	if (closed_for_owners(g))
		return FENCED;
	if (rules == CURRENT && is_replaced(m.base, segment_base(g)) && keeps(GRANT_ANY_SEGMENT))
		return REPLACED;
	if (rules == CURRENT && is_replaced(m.term, g->term) && keeps(GRANT_ANY_HUB))
		return REPLACED;
	if (m.out > g->sent) {
		g->fence = CLOSED;
		return REGRESS;
	}
	if (m.in > g->received) {
		g->left += m.in - g->received;
		g->received = m.in;
	}
	return OK;
}

enum word debit(struct state *s, int i, struct message *report)
{
	struct segment *g = &s->segments[i].now;
	if (!segment_is_open(s, i))
		return FENCED;
	g->sent += g->left;
	g->left = 0;
	*report = report_of(g);
	return OK;
}

/* CURRENT: a report to a hub in a new term, which the segment takes over. */
enum word hear_hub(struct state *s, int i, struct message *hearing)
{
	struct segment *g = &s->segments[i].now;
	if (!segment_is_open(s, i))
		return FENCED;
	if (!is_replaced(hub_term(&s->hub.now), g->term) || !keeps(BASE_BY_INCARNATION))
		g->term = (uint8_t)hub_term(&s->hub.now);
	*hearing = report_of(g);
	return OK;
}

static void drop_listed(struct segment *g, int number)
{
	for (int c = 0; c < CLAIMERS; c++)
		if (g->own[c].listed && g->own[c].number == number)
			g->own[c].listed = 0;
	g->listed &= (uint16_t)~bit(number);
}

static int first_listed(const struct segment *g)
{
	int first = g->listed ? __builtin_ctz(g->listed) : 0;
	for (int c = 0; c < CLAIMERS; c++)
		if (g->own[c].listed && (!first || g->own[c].number < first))
			first = g->own[c].number;
	return first;
}

/* EARLIER: as many records as were committed, from the head. CURRENT: by number, under the base that was peeked. */
enum word trim(struct state *s, int i, int base, int upto)
{
	struct segment *g = &s->segments[i].now;
	int first = first_listed(g);
	if (rules == CURRENT && base != g->base && keeps(TRIM_ANY_BASE))
		return REPLACED;
	if (rules == EARLIER)
		for (int count = first ? upto - first + 1 : 0; count > 0; count--)
			drop_listed(g, first_listed(g));
	else
		for (int n = first; n && n <= upto; n = first_listed(g))
			drop_listed(g, n);
	return OK;
}

/* The hub */

bool hub_heard_all(const struct state *s, const struct sale *sale)
{
	return rules == EARLIER || s->hub.now.heard == bit(sale->segments) - 1;
}

static void take_back(struct hub *h, int i, int sent)
{
	int known = h->with[i].taken;
	if (sent <= known)
		return;
	h->avail += (int8_t)(sent - known);
	h->with[i].taken = (uint8_t)sent;
	h->sold_out = 0;
}

static enum word grant(struct state *s, const struct sale *sale, int i, int want, struct message *to)
{
	struct hub *h = &s->hub.now;
	if (rules == CURRENT && s->losers && keeps(NOTICES_OUTLIVE_GRANT))
		return LATER;
	int units = max(want, 2 * h->avail / sale->segments);
	units = units < h->avail ? units : h->avail;
	h->with[i].granted += (uint8_t)units;
	h->avail -= (int8_t)units;
	h->empty &= ~bit(i);
	*to = totals_of(h, i);
	return GRANT;
}

static bool is_for_others(const struct hub *h, int i, struct message r)
{
	if (rules == EARLIER)
		return false;
	return (is_replaced(r.base, h->with[i].base) && keeps(REPORT_ANY_SEGMENT)) ||
	       (is_replaced(r.term, hub_term(h)) && keeps(REPORT_ANY_HUB));
}

/*
 * CURRENT: the first report to a hub in a new term. The segment already refuses grants of earlier terms, so its totals are
 * complete, and the hub takes them whether its own were lower or higher.
 */
static void hear(struct hub *h, int i, struct message r)
{
	int granted = h->with[i].granted, taken = h->with[i].taken;
	if (h->heard >> i & 1)
		return;
	h->heard |= bit(i);
	h->with[i].base = r.base;
	if (keeps(PROMISE_SURVIVES_TERM))
		void_promise(h, i, r.in >= granted);
	if (r.in > granted ? keeps(NO_RAISE) : keeps(RAISES_ONLY))
		granted = r.in;
	if (r.out < taken && keeps(RAISES_ONLY))
		taken = r.out;
	h->avail += (int8_t)(h->with[i].granted - granted + taken - h->with[i].taken);
	h->with[i].granted = (uint8_t)granted;
	h->with[i].taken = (uint8_t)taken;
}

enum word exchange(struct state *s, const struct sale *sale, int i, struct message r, int want, struct message *to)
{
	struct hub *h = &s->hub.now;
	if (!hub_is_open(s))
		return FENCED;
	if (is_for_others(h, i, r))
		return REPLACED;
	if (rules == CURRENT)
		hear(h, i, r);
	if (r.in > h->with[i].granted) {
		h->fence = CLOSED;
		return REGRESS;
	}
	take_back(h, i, r.out);
	if (r.zero && r.in == h->with[i].granted && r.out == h->with[i].taken)
		h->empty |= bit(i);
	if (!want)
		return OK;
	bool all = hub_heard_all(s, sale), is_empty = h->empty == bit(sale->segments) - 1;
	bool somebody_waits = h->waiting || (h->lacks && keeps(NOBODY_WAITS));
	if ((somebody_waits && (h->avail > 0 || !is_empty)) || promised_to(h, i))
		return LATER;
	if (h->avail > 0)
		return all || !keeps(GRANT_UNHEARD) ? grant(s, sale, i, want, to) : LATER;
	if (h->avail == 0 && h->empty == bit(sale->segments) - 1) {
		if (!all && keeps(SOLDOUT_UNHEARD))
			return LATER;
		h->sold_out = 1;
		return SOLDOUT;
	}
	return NONE;
}

/* The waiting list. V of the scripts is left out: who is to be put back waits at once, and `lacks` is `waits` above 1. */

/* It cannot be done any more. */
void void_promise(struct hub *h, int i, bool is_done)
{
	int user = promised_to(h, i);
	if (!user)
		return;
	promise(h, i, 0);
	h->lacks = keeps(NO_RELIST);
	if (!is_done)
		h->waiting |= bit(user - 1);
}

bool may_promote(const struct state *s, const struct sale *sale)
{
	const struct hub *h = &s->hub.now;
	return hub_is_open(s) && hub_heard_all(s, sale) && !h->lacks && h->waiting && h->avail > 0 &&
	       !promised_to(h, home_of(sale, __builtin_ctz(h->waiting)));
}

/* The message to the segment. */
void read_promise(struct state *s, int i)
{
	const struct hub *h = &s->hub.now;
	s->awards[i] = (struct message){ .there = 1,
					 .term = (uint8_t)hub_term(h),
					 .base = h->with[i].base,
					 .in = h->with[i].granted,
					 .out = (uint8_t)promised_to(h, i) };
}

void promote(struct state *s, const struct sale *sale)
{
	struct hub *h = &s->hub.now;
	int c = __builtin_ctz(h->waiting), i = home_of(sale, c);
	h->waiting &= ~bit(c);
	promise(h, i, c + 1);
	h->avail--;
	h->with[i].granted++;
	h->empty &= ~bit(i);
	read_promise(s, i);
}

enum word award(struct state *s, int i, struct message m)
{
	struct segment *g = &s->segments[i].now;
	if (!segment_is_open(s, i) || closed_for_owners(g))
		return FENCED;
	if ((is_replaced(m.base, segment_base(g)) && keeps(AWARD_ANY_BASE)) ||
	    (is_replaced(m.term, g->term) && keeps(AWARD_ANY_TERM)))
		return REPLACED;
	if (g->received >= m.in)
		return OK;
	struct own *mine = &g->own[m.out - 1];
	g->left += m.in - 1 - g->received;
	g->received = m.in;
	if (mine->number) {
		g->sent++;
		return OK;
	}
	g->sold++;
	g->last++;
	*mine = (struct own){ .number = g->last, .listed = 1, .ticket = 1 };
	return OK;
}

enum word clear_promise(struct state *s, int i)
{
	struct hub *h = &s->hub.now;
	if (!hub_is_open(s))
		return FENCED;
	if (promised_to(h, i) != s->awards[i].out || (s->awards[i].term != hub_term(h) && keeps(CLEAR_ANY_TERM)))
		return OTHER;
	promise(h, i, 0);
	return OK;
}

/* src/waiting/relist.c, while nobody joins, leaves or is promoted. Who has an order does not wait; once
 * MySQL has that order, the entry is used for good. */
void relist(struct state *s, const struct sale *sale)
{
	struct hub *h = &s->hub.now;
	for (int c = 0; c < sale->claimers; c++) {
		int i = home_of(sale, c);
		bool is_there = h->waiting >> c & 1 || promised_to(h, i) == c + 1;
		if (!(sale->waiters >> c & 1))
			continue;
		int number = s->segments[i].now.own[c].number;
		if (!is_there && number && (s->db.row[c] == number || !keeps(RELIST_TRUSTS_OWNERS)))
			s->db.promoted |= bit(c);
		if (s->db.promoted >> c & 1 && keeps(RELIST_BLIND))
			h->waiting &= ~bit(c);
		else if (!is_there && !number && !(s->db.promoted >> c & 1))
			h->waiting |= bit(c);
	}
	h->lacks = 0;
}
