/*
 * Completes the waiting list of a sale after its hub, or a segment, may have lost writes; until then nobody joins,
 * leaves or is promoted (`waits` of the hub is not 1). What MySQL and the journal have is put back in its place; what
 * MySQL knows to have left or to be promoted is removed; and what only the list has gets its row.
 */
#ifndef WAITING_RELIST_H
#define WAITING_RELIST_H

#include "base/arena.h"
#include "sale/coupon.h"
#include "sale/service.h"

/*
 * Safe to repeat, and for two drainers at once. STATUS_OK: the list is whole. STATUS_PENDING: a home segment does not
 * answer, or more was lost meanwhile: to be called again. STATUS_UNAVAILABLE: Redis or MySQL does not answer.
 * STATUS_BUSY: the hub is not open, or has another fence. STATUS_NO_SUCH_COUPON: MySQL does not have it, or it has no
 * list. Blocks.
 */
enum status waiting_relist(struct service *svc, struct arena *a, const struct coupon *c);

#endif
