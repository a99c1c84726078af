/* Redis: claim, release, supply and what exchange says when nothing is left. */
#include "model/life/life.h"

const char *const word_names[WORDS] = {
	[NOTHING] = "nothing", [WON] = "WON",          [MINE] = "MINE", [LIMIT] = "MINE -",
	[HELD] = "HELD",       [SOLD_OUT] = "SOLDOUT", [DONE] = "OK",   [REFUSED] = "refused"
};

int available(const struct state *s, const struct sale *sale)
{
	return sale->units + s->hub.cancelled - s->claimed;
}

/* The hub: it has no unit. Said "sold out", it stays so until units come. */
static enum word nothing_left(struct state *s, const struct sale *sale)
{
	bool may_return = sale->asks_payment && sale->units > s->hub.final - s->hub.final_cancelled;
	s->word = may_return && s->word != SOLD_OUT ? HELD : SOLD_OUT;
	return s->word;
}

struct reply claim(struct state *s, const struct sale *sale, int customer)
{
	struct owner *own = &s->owners[customer];
	if (own->number)
		return (struct reply){ own->tombstone ? LIMIT : MINE, own->number };
	if (available(s, sale) <= 0)
		return (struct reply){ nothing_left(s, sale), 0 };
	int n = order_count(s) + 1;
	s->orders[n] = (struct order){ .status = QUEUED, .customer = (uint16_t)customer };
	own->number = (uint8_t)n;
	own->lifted = 0;
	s->claimed++;
	return (struct reply){ WON, n };
}

/*
 * The number of ends is MySQL's. It is read before, but does not change until the owner is removed: the customer gets
 * no other order before.
 */
static bool leaves_tombstone(const struct state *s, const struct sale *sale, int customer)
{
	int ends = 0;
	for (int n = 1; n <= ORDERS; n++)
		ends += counts(&s->orders[n]) && (s->orders[n].customer == customer || mutant == COUNT_UNITS);
	return ends >= sale->ends && mutant != RELEASE_ALL;
}

void release(struct state *s, const struct sale *sale, int n)
{
	struct order *o = &s->orders[n];
	struct owner *own = &s->owners[o->customer];
	o->released = is_over(o);
	if (!own->number || own->tombstone || (own->number != n && mutant != RELEASE_ANY))
		return;
	if (leaves_tombstone(s, sale, o->customer)) {
		own->tombstone = 1;
		return;
	}
	own->number = 0;
	s->unowned += mutant != RELEASE_UNCOUNTED;
}

void lift(struct state *s, int customer, int n)
{
	struct owner *own = &s->owners[customer];
	if ((!own->tombstone || own->number != n) && mutant != LIFT_ANY)
		return;
	*own = (struct owner){ .lifted = 1 };
	s->unowned++;
}

static int highest(int a, int b)
{
	return a > b ? a : b;
}

static struct totals joined(struct totals a, struct totals b)
{
	return (struct totals){ .cancelled = (uint16_t)highest(a.cancelled, b.cancelled),
				.final = (uint16_t)highest(a.final, b.final),
				.final_cancelled = (uint16_t)highest(a.final_cancelled, b.final_cancelled) };
}

/* The totals after so many of MySQL's changes arrive. */
void tell_hub(struct state *s, int change)
{
	struct totals before = s->hub, now = totals_at(s, change);
	s->hub = mutant == LAST_TOTALS ? now : joined(before, now);
	if (mutant == CANCELLED_AMOUNT && change > 0)
		s->hub.cancelled = (uint16_t)(before.cancelled + now.cancelled - totals_at(s, change - 1).cancelled);
	if (s->hub.cancelled > before.cancelled)
		s->word = NOTHING;
}
