/*
 * Promotion: units that come back, or are added, go to the people who wait, in the order of their tickets. The hub
 * takes the first entries off the list and reserves their units (promote.lua), the home segments write the orders
 * (award.lua), and the hub is told (promoted.lua). A drainer that is killed in between leaves a promotion that is noted
 * at the hub, and any drainer goes on with it. Everything here may be repeated, late, and done by several drainers at
 * once: the hub reserves each entry once, and a segment's totals say whether it has done a promotion. So no lease is
 * taken: it would let people wait for a drainer that drains the sale, and protect nothing.
 */
#ifndef WAITING_PROMOTE_H
#define WAITING_PROMOTE_H

#include "base/arena.h"
#include "sale/service.h"

struct promoting;
/* The service needs the engine: svc->redis, on the loop of redis_sync. */
struct promoting *promoting_new(struct service *svc);
void promoting_free(struct promoting *p); /* NULL is allowed */

enum promote_step {
	PROMOTE_DONE, /* nothing is left to do now */
	PROMOTE_MORE, /* the next step should follow soon */
	PROMOTE_AWAY, /* no server of Redis answers */
};

/*
 * Looks at the sales in which people wait, each ten times a second while they are not many, and promotes whom it can,
 * for about a twentieth of a second at most. Entries whose home segment does not answer or is not open keep their
 * places, and those behind them are promoted. A sale that has ended, and in which nobody waits any more, is left. Also
 * sets the gauge of people who wait. Blocks for Redis, and for MySQL when a sale has ended.
 */
enum promote_step promote_step(struct promoting *p, struct arena *a);

/* How long a drainer may rest before the next step, at most `most`. */
int promote_rest_ms(const struct promoting *p, int most);

#endif
