/*
 * Stock travels to a segment that ran dry: from the hub, or, when the hub is
 * empty, from other segments through the hub. One refill a segment at a time;
 * all claims that met the empty segment wait for it.
 *
 * Messages carry totals, so one that is lost, late or repeated does no harm
 * (lua/exchange.lua says why); a refill may be abandoned at any step. They
 * also carry the segment's base and the hub's term, so that one from before a
 * failover is refused by whichever side has lost what the message tells of.
 */
#ifndef STOCK_REFILL_H
#define STOCK_REFILL_H

#include "stock/claim.h"

/* What a segment says of itself, at one moment: totals, what is left, its base and the hub's term that it knows. */
struct report {
	int segment;
	int64_t received, sent, left, base, term;
	int64_t ms; /* when it was found empty, by the clock of its server */
};

/*
 * The claim found its segment empty, with these numbers. It goes on by itself: it is sent again with what the hub
 * granted, or ends as SOLD_OUT (on the hub's word), BUSY (no word in time) or FENCED.
 */
void refill_wait(struct claim *c, const struct report *home);

/* A claim that was not sent yet waits for the refill that runs for its segment. False: none runs. */
bool refill_join(struct claim *c);

#endif
