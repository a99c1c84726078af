/* What runs on hub and segments, each an atomic step. As in lua/, with the names of there; NEXT as README.md has it. */
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
	return s->segments[i].now.fence == s->life[i];
}

bool hub_is_open(const struct state *s)
{
	return s->hub.now.fence == s->life[HUB];
}

/* Incarnations: a segment's is its base, in ranges; a hub's is counted by MySQL. */

int segment_inc(const struct segment *g)
{
	return keeps(INC_BY_LIFE) ? g->inc : g->fence;
}

int hub_inc(const struct hub *h)
{
	return keeps(INC_BY_LIFE) ? h->inc : h->fence;
}

/* Lives of servers are random text: one can see that another is not the same, not which was first. */
bool is_replaced(int inc, int known)
{
	return keeps(INC_BY_LIFE) ? inc < known : inc != known;
}

struct message report_of(const struct segment *g)
{
	return (struct message){ .there = 1,
				 .zero = g->left == 0,
				 .hub_inc = g->hub_inc,
				 .seg_inc = (uint8_t)segment_inc(g),
				 .in = g->received,
				 .out = g->sent };
}

struct message totals_of(const struct hub *h, int i)
{
	return (struct message){ .there = 1,
				 .hub_inc = (uint8_t)hub_inc(h),
				 .seg_inc = h->with[i].inc,
				 .in = h->with[i].granted,
				 .out = h->with[i].taken };
}

/* Segments */

bool has_owner(const struct segment *g)
{
	bool any = false;
	for (int c = 0; c < CLAIMERS; c++)
		any |= g->own[c].number > 0;
	return any;
}

/* NEXT: keys of a slot move one by one, and the owners may be lost alone. */
bool misses_owners(const struct segment *g)
{
	return rules == NEXT && keeps(OWNERS_UNSEEN) && g->sold > g->unowned && !has_owner(g);
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
	if (!g->left)
		return NEED;
	g->left--;
	g->sold++;
	g->last++;
	g->own[c] = (struct own){ .number = g->last, .listed = 1 };
	*number = g->last;
	return WON;
}

/* 200 for an order from before: is it there, under the fence? Today nothing is asked. */
enum word confirm(struct state *s, int i, int c, int number)
{
	if (rules == TODAY || !keeps(CONFIRM_ANY))
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
	if (rules == NEXT && is_replaced(m.seg_inc, segment_inc(g)) && keeps(GRANT_ANY_SEGMENT))
		return REPLACED;
	if (rules == NEXT && is_replaced(m.hub_inc, g->hub_inc) && keeps(GRANT_ANY_HUB))
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

/* NEXT: what the segment has, for a hub in a new incarnation, which it knows from now on. */
enum word hear_hub(struct state *s, int i, struct message *hearing)
{
	struct segment *g = &s->segments[i].now;
	if (!segment_is_open(s, i))
		return FENCED;
	if (!is_replaced(hub_inc(&s->hub.now), g->hub_inc) || !keeps(INC_BY_LIFE))
		g->hub_inc = (uint8_t)hub_inc(&s->hub.now);
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

/* Today by difference, from whatever is at the head; next by number, and by the incarnation that was peeked. */
enum word trim(struct state *s, int i, int inc, int upto)
{
	struct segment *g = &s->segments[i].now;
	int first = first_listed(g);
	if (rules == NEXT && inc != g->inc && keeps(TRIM_ANY_INC))
		return REPLACED;
	if (rules == TODAY)
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
	return rules == TODAY || s->hub.now.heard == bit(sale->segments) - 1;
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
	if (rules == NEXT && s->losers && keeps(WORDS_OUTLIVE_GRANT))
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
	if (rules == TODAY)
		return false;
	return (is_replaced(r.seg_inc, h->with[i].inc) && keeps(REPORT_ANY_SEGMENT)) ||
	       (is_replaced(r.hub_inc, hub_inc(h)) && keeps(REPORT_ANY_HUB));
}

/*
 * NEXT: the first report to a hub in a new incarnation. The segment refuses by now what an earlier one has granted, so that
 * its totals are the hub's, too, whether the hub knew less or more.
 */
static void hear(struct hub *h, int i, struct message r)
{
	int granted = h->with[i].granted, taken = h->with[i].taken;
	if (h->heard >> i & 1)
		return;
	h->heard |= bit(i);
	h->with[i].inc = r.seg_inc;
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
	if (rules == NEXT)
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
	bool all = hub_heard_all(s, sale);
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
