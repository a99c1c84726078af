#include "model/cases.h"

#include <stdio.h>

#define FAMILIES(rows)                                                                                                 \
	{                                                                                                              \
		rows, sizeof rows / sizeof rows[0]                                                                     \
	}

/* name, segments, units, first share; claimers, added, cancelled; G at most, ticks, want at most; watched */
static const struct family quick[] = {
	{ "one segment", 1, 1, 1, 3, 1, 1, 4, 3, 2, REQUESTS },
	{ "fewer units than segments", 3, 1, 0, 3, 0, 0, 2, 0, 1, REQUESTS },
	{ "the last unit to and fro", 2, 1, 1, 2, 0, 0, 7, 0, 2, REQUESTS },
	{ "four units, two segments", 2, 4, 3, 3, 0, 0, 4, 0, 3, REQUESTS },
	{ "four units, three segments", 3, 4, 3, 3, 0, 0, 3, 0, 2, 0 },
	{ "sold out, and one is added", 2, 1, 1, 2, 1, 0, 3, 3, 1, REQUESTS },
	{ "one is added, Redis's clock is set back", 2, 1, 1, 2, 1, 0, 3, 3, 1, REQUESTS | CLOCK_BACK },
	{ "two are added", 2, 1, 0, 3, 2, 0, 3, 2, 2, 0 },
	{ "an order is cancelled", 2, 1, 1, 2, 0, 1, 3, 3, 1, REQUESTS },
	{ "one is added, one is cancelled", 2, 1, 1, 3, 1, 1, 2, 2, 1, 0 },
	{ "three segments, one is added", 3, 2, 2, 3, 1, 0, 2, 2, 1, 0 },
	{ "made while it sells", 2, 2, 2, 2, 1, 0, 2, 2, 1, OPENING },
	{ "orders are paid, one is cancelled", 2, 1, 1, 2, 0, 1, 2, 1, 1, REQUESTS | PAYS },
	{ "orders are paid, one is added, one is cancelled", 1, 1, 1, 2, 1, 1, 3, 2, 1, PAYS },
	{ "people wait, one unit is added", 1, 1, 1, 3, 1, 0, 3, 1, 1, REQUESTS | WAITING },
	{ "two segments, people wait, one unit is added", 2, 1, 1, 3, 1, 0, 2, 0, 1, WAITING | PAYS },
	{ "two segments, people wait, two are added, one may be away", 2, 1, 1, 3, 2, 0, 3, 1, 1, WAITING | AWAY },
	{ "paused and resumed", 2, 2, 1, 2, 0, 0, 3, 0, 1, STEERED },
	{ "paused and resumed, one is added", 1, 1, 1, 2, 1, 0, 2, 1, 1, STEERED },
	{ "units are withdrawn", 2, 2, 2, 2, 0, 0, 3, 0, 1, WITHDRAWN },
	{ "units are withdrawn, one is added", 2, 1, 1, 2, 1, 0, 2, 1, 1, WITHDRAWN },
	{ "units are withdrawn, an order is cancelled", 1, 2, 1, 2, 0, 1, 3, 1, 1, WITHDRAWN | PAYS },
	{ "the hub learns that orders are paid", 1, 1, 1, 2, 0, 1, 2, 2, 1, REQUESTS | PAYS | LEARNS },
};

static const struct family more[] = {
	{ "one is added, one is cancelled, longer", 2, 1, 1, 3, 1, 1, 3, 2, 2, 0 },
	{ "one is added, requests are watched", 3, 1, 0, 2, 1, 0, 2, 3, 1, REQUESTS },
	{ "four units, three segments, all at the hub", 3, 4, 0, 3, 0, 0, 4, 0, 3, OPENING },
	{ "four units, three segments, one is added", 3, 4, 3, 3, 1, 0, 2, 2, 1, 0 },
	{ "one is added, one is cancelled, watched", 2, 1, 1, 3, 1, 1, 2, 2, 1, REQUESTS },
	{ "three segments, one is added, one is cancelled", 3, 1, 1, 3, 1, 1, 2, 1, 1, 0 },
	{ "three segments, an order is cancelled", 3, 1, 1, 3, 0, 1, 2, 2, 1, OPENING },
	{ "one is added, one is cancelled, the clock is set back", 2, 1, 1, 3, 1, 1, 2, 2, 1, CLOCK_BACK },
	{ "orders are paid, one is cancelled, longer", 2, 1, 1, 2, 0, 1, 2, 3, 1, REQUESTS | PAYS },
	{ "three claim, orders are paid, one is cancelled", 1, 1, 1, 3, 0, 1, 3, 2, 1, REQUESTS | PAYS },
	{ "two units, orders are paid, one is cancelled", 1, 2, 2, 3, 0, 1, 3, 2, 1, PAYS },
	{ "orders are paid, one is added, one is cancelled, watched", 1, 1, 1, 2, 1, 1, 3, 3, 1, REQUESTS | PAYS },
	{ "orders are paid, the clock is set back", 2, 1, 1, 2, 0, 1, 2, 1, 1, REQUESTS | PAYS | CLOCK_BACK },
	{ "people wait, an order is cancelled", 1, 1, 1, 3, 0, 1, 3, 1, 1, REQUESTS | WAITING | PAYS },
	{ "two segments, people wait, an order is cancelled", 2, 1, 1, 3, 0, 1, 2, 0, 1, WAITING | PAYS },
	{ "two segments, people wait, the hub learns that orders are paid", 2, 1, 1, 3, 2, 0, 2, 0, 1, WAITING | AWAY | PAYS },
	{ "two segments, the hub learns that orders are paid", 2, 1, 1, 2, 0, 1, 2, 2, 1, REQUESTS | PAYS | LEARNS },
};

static const struct family small[] = {
	{ "one is added", 2, 1, 0, 2, 1, 0, 2, 2, 1, 0 },
	{ "an order is cancelled", 2, 1, 1, 2, 0, 1, 2, 2, 1, OPENING },
	{ "the clock is set back", 1, 1, 1, 2, 1, 0, 2, 2, 1, CLOCK_BACK },
	{ "orders are paid, one is cancelled", 1, 1, 1, 2, 0, 1, 2, 1, 1, PAYS | LEARNS },
	{ "two units", 2, 2, 0, 3, 0, 0, 3, 0, 2, 0 },
};

const struct families quick_families = FAMILIES(quick), long_families = FAMILIES(more);
const struct families small_families = FAMILIES(small);
const struct family mutants_family = { "one is added", 2, 1, 1, 2, 1, 0, 3, 2, 1, REQUESTS | CLOCK_BACK };
const struct family implied_family = { "one is added", 2, 1, 1, 2, 1, 0, 2, 2, 1, 0 };
const struct family payments_family = { "orders are paid, one is cancelled", 2, 1, 1, 2, 0, 1, 3, 2, 1, REQUESTS | PAYS | LEARNS };
const struct family waiting_family = { "a unit is added, people wait", 1, 1, 1, 3, 2, 0, 4, 2, 1, REQUESTS | WAITING };
const struct family steering_family = { "paused and resumed", 2, 2, 1, 2, 0, 0, 3, 0, 1, STEERED };
const struct family withdrawal_family = { "units are withdrawn", 2, 2, 2, 2, 1, 0, 3, 0, 1, WITHDRAWN };
const struct family two_supplies_family = { "one is added, one is cancelled", 1, 1, 1, 3, 1, 1, 3, 2, 1, 0 };

void first_homes(const struct family *f, struct sale *sale)
{
	*sale = (struct sale){ .segments = f->segments,
			       .units = f->units,
			       .claimers = f->claimers,
			       .adds = f->adds,
			       .returns = f->returns,
			       .granted_most = f->granted_most,
			       .ticks = f->ticks,
			       .want = f->want,
			       .opening = f->watched & OPENING,
			       .requests = f->watched & REQUESTS,
			       .set_back = f->watched & CLOCK_BACK,
			       .pays = f->watched & PAYS,
			       .learns = f->watched & LEARNS,
			       .waits = f->watched & WAITING,
			       .away = f->watched & AWAY,
			       .steers = f->watched & STEERED ? 3 : 0,
			       .withdraws = f->watched & WITHDRAWN ? 2 : 0 };
	for (int i = 0; i < f->segments; i++)
		sale->first[i] = f->first_share / f->segments + (i < f->first_share % f->segments);
}

bool next_homes(struct sale *sale)
{
	int c = 0;
	while (c < sale->claimers && sale->home[c] == sale->segments - 1)
		c++;
	if (c == sale->claimers)
		return false;
	sale->home[c]++;
	while (c--)
		sale->home[c] = sale->home[c + 1];
	return true;
}

const char *sale_text(char text[160], const struct sale *sale)
{
	int n = snprintf(text, 160, "%d segments, %d units, granted", sale->segments, sale->units);
	for (int i = 0; i < sale->segments; i++)
		n += snprintf(text + n, 160 - n, " %d", sale->first[i]);
	n += snprintf(text + n, 160 - n, "; %d claimers, homes", sale->claimers);
	for (int c = 0; c < sale->claimers; c++)
		n += snprintf(text + n, 160 - n, " %d", sale->home[c]);
	n += snprintf(text + n, 160 - n, "; %d added, %d cancelled; G <= %d, %d ticks, want <= %d", sale->adds,
		      sale->returns, sale->granted_most, sale->ticks, sale->want);
	return text;
}
