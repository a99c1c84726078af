/*
 * Creations that were cut short: rows that are not published, and the hub and
 * segments that Redis may have of them. Blocks.
 */
#ifndef CATALOG_ABANDONED_H
#define CATALOG_ABANDONED_H

#include "sale/service.h"

/*
 * Removes creations that began more than ten minutes ago and were never finished: a few of those whose id is above
 * *from, which is then the last one's id, or 0 when there are no more. One of which anything was sold, or could have
 * been, is left alone and logged. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. Safe to repeat, also side by side.
 * Needs the drainers' MySQL account.
 */
enum status abandoned_remove(struct service *svc, struct arena *a, int64_t *from);

/* STATUS_OK: Redis has no sign of a publication; STATUS_FENCED: it was published or sold once; STATUS_UNAVAILABLE. */
enum status abandoned_look(struct service *svc, int64_t coupon, int segments);

/*
 * Removes from Redis what a creation has made, when MySQL has no such row or it is locked: STATUS_OK; STATUS_FENCED (it
 * was published or sold once: nothing is removed); STATUS_UNAVAILABLE (ask again).
 */
enum status abandoned_discard(struct service *svc, int64_t coupon, int segments);

#endif
