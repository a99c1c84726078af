/* The second half of a promotion: the home segments write the orders, and the hub is told. Blocks for Redis. */
#ifndef WAITING_AWARD_H
#define WAITING_AWARD_H

#include "waiting/waited.h"

/*
 * Does all promotions that the hub has noted, but those of segments that are away. Safe to repeat: a segment does each
 * once, and says again what came of it. A customer who has an order already gets none, and the unit goes back; who gets
 * nothing because the sale does not run in the segment waits again, in the same place. Returns how many are done.
 */
int award_all(struct service *svc, struct arena *a, struct waited *w, struct coupon *c, const struct hub_answer *hub);

/*
 * Brings units back to the hub that no customer asks for: those of segments that the hub does not know to be empty.
 * Only for a hub that has none, while people wait: then no claim brings them.
 */
void award_collect(struct service *svc, struct arena *a, struct waited *w, struct coupon *c,
		   const struct hub_answer *hub);

#endif
