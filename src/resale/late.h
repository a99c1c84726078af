/*
 * Late payments: of an order that is over, in a sale that sells on. The drainers claim a unit for the customer, as the
 * customer would, and the payment pays the order that they get, or the one that the customer has already. A customer
 * who has reached the limit may claim once more for it. Where no unit is left, or that order is a dead letter, the
 * payment is to be refunded. Everything here may be repeated, and by several drainers at once.
 */
#ifndef RESALE_LATE_H
#define RESALE_LATE_H

#include "base/arena.h"
#include "resale/step.h"
#include "sale/service.h"

/* The service needs the engine (purchase.h). */
struct late;
struct late *late_new(struct service *svc);
/* Waits until the claims that are under way have ended; NULL is allowed. */
void late_free(struct late *l);

/*
 * Begins claims for late payments, at most 16 at a time, and settles payments whose claims have ended. any: there are
 * late payments. Blocks for MySQL, but does not wait for the claims.
 */
enum step late_step(struct late *l, struct arena *a, bool any);

/* Whether a search is under way, so that the next step should follow soon. */
bool late_is_busy(const struct late *l);

#endif
