/*
 * Units put on sale after the opening. MySQL first, then the hub, then every segment that may still hold a "sold out".
 * Until the last of these words has run out, somebody may be refused on it, so the hub grants nothing. Whoever tells a
 * person that the units are on sale waits for that, and opens the sale then; nothing here waits. Should he die before
 * that, a worker that has waited for as long opens it (transfer.c).
 */
#ifndef CATALOG_SUPPLY_H
#define CATALOG_SUPPLY_H

#include "sale/coupon.h"

/* The clock that opens and closes sales, Redis's, in ms since 1970. STATUS_OK, STATUS_UNAVAILABLE. Blocks. */
enum status supply_time(struct service *svc, struct arena *a, int64_t *now_ms);

/* A sale that may have to be opened: after wait_ms milliseconds (0 to 1251) the units may be acknowledged. */
struct supply_opening {
	int64_t coupon, generation, epoch, wait_ms;
};

/*
 * Adds units to a seller's coupon; *amount is the new total, *o what is left to do. STATUS_OK, STATUS_NO_SUCH_COUPON,
 * STATUS_ENDED, STATUS_BAD_FIELD (the total would be above 1,000,000,000), STATUS_FENCED, STATUS_INTERNAL;
 * STATUS_UNAVAILABLE: not added, or added in MySQL only, and on sale once supply_redo has seen it. Not safe to repeat:
 * each call adds. Blocks for MySQL and Redis.
 */
enum status supply_add(struct service *svc, struct arena *a, int64_t seller, struct str name, int64_t units,
		       int64_t *amount, struct supply_opening *o);

/*
 * The hub grants the units from now on. To be called when o->wait_ms are over. Safe to repeat. When it does not reach
 * Redis the first customers wait for as long once more. Blocks for Redis.
 */
void supply_open(struct service *svc, struct arena *a, const struct supply_opening *o);

/*
 * Brings the totals of MySQL and the hub to the higher of both: the hub was never told of units because a worker was
 * killed in between, or MySQL was restored from an older backup. The drainers do it, coupon by coupon. STATUS_OK also
 * when there is nothing to do; else as supply_add, and *o as there.
 */
enum status supply_redo(struct service *svc, struct arena *a, int64_t coupon, struct supply_opening *o);

/* The hub's totals of units put on sale and given back; 0 without a hub. STATUS_OK, STATUS_UNAVAILABLE. */
enum status supply_read_hub(struct service *svc, struct arena *a, int64_t coupon, int64_t *amount, int64_t *cancelled);

/* Raises MySQL's totals to these; never lowers them. 0, or -1 as db_run. */
int supply_raise(struct service *svc, int64_t coupon, int64_t amount, int64_t cancelled) MUST_CHECK;

#endif
