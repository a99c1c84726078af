/*
 * Units put on sale after the opening. MySQL first, then the hub, then every segment that may still hold a "sold out".
 * Until the last of these words has run out, somebody may be refused on it. Whoever tells a person that the units are
 * on sale waits for that; nothing here does.
 */
#ifndef SALE_SUPPLY_H
#define SALE_SUPPLY_H

#include "sale/coupon.h"

/*
 * Adds units to a seller's coupon; *amount is the new total, *wait_ms how many milliseconds from now on (0 to 1251) it
 * must not be acknowledged. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_ENDED, STATUS_BAD_FIELD (the total would be above
 * 1,000,000,000), STATUS_FENCED, STATUS_INTERNAL; STATUS_UNAVAILABLE: not added, or added in MySQL only, and on sale
 * once supply_redo has seen it. Not safe to repeat: each call adds. Blocks for MySQL and Redis.
 */
enum status supply_add(struct service *svc, struct arena *a, int64_t seller, struct str name, int64_t units,
		       int64_t *amount, int64_t *wait_ms);

/*
 * Brings the totals of MySQL and the hub to the higher of both: the hub was never told of units because a worker was
 * killed in between, or MySQL was restored from an older backup. The drainers do it, coupon by coupon. STATUS_OK also
 * when there is nothing to do; else as supply_add, and *wait_ms as there.
 */
enum status supply_redo(struct service *svc, struct arena *a, int64_t coupon, int64_t *wait_ms);

/* The hub's totals of units put on sale and given back; 0 without a hub. STATUS_OK, STATUS_UNAVAILABLE. */
enum status supply_read_hub(struct service *svc, struct arena *a, int64_t coupon, int64_t *amount, int64_t *cancelled);

/* Raises MySQL's totals to these; never lowers them. 0, or -1 as db_run. */
int supply_raise(struct service *svc, int64_t coupon, int64_t amount, int64_t cancelled) MUST_CHECK;

#endif
