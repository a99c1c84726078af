/* Abandoned creations: coupons that were not published, with a row in MySQL and perhaps slots in Redis. Blocks. */
#ifndef CATALOG_ABANDONED_H
#define CATALOG_ABANDONED_H

#include "sale/service.h"

/*
 * Removes up to 16 creations that began more than ten minutes ago and have ids above *from. Sets *from to the last id,
 * or to 0 when there are no more. A creation of which a unit may have been sold is kept, and logged. STATUS_OK,
 * STATUS_UNAVAILABLE, STATUS_INTERNAL. Safe to repeat, also by two processes at once. Needs the drainers' MySQL
 * account.
 */
enum status abandoned_remove(struct service *svc, struct arena *a, int64_t *from);

/*
 * STATUS_OK: Redis shows no sign that the coupon was published; STATUS_FENCED: it was, or was sold; STATUS_UNAVAILABLE.
 */
enum status abandoned_look(struct service *svc, int64_t coupon, int segments);

/*
 * Removes the slots of a creation from Redis. Only to be called while MySQL has no row of the coupon, or the caller has
 * locked the row. STATUS_OK; STATUS_FENCED: the coupon was published or sold, and nothing is removed;
 * STATUS_UNAVAILABLE.
 */
enum status abandoned_discard(struct service *svc, int64_t coupon, int segments);

#endif
