/*
 * The entries in Redis by which a coupon is found and described: its descriptor, the seller in the index of sellers,
 * the coupon in the seller's list, and the name in the catalog. They are copies of what MySQL has.
 */
#ifndef CATALOG_ENTRIES_H
#define CATALOG_ENTRIES_H

#include "sale/coupon.h"

/*
 * Writes the entries of a coupon; safe to repeat. If the catalog has another coupon under this name, which MySQL does
 * not have, that coupon is closed. STATUS_OK; STATUS_NO_SUCH_COUPON: MySQL does not have this coupon;
 * STATUS_UNAVAILABLE; STATUS_INTERNAL. Blocks.
 */
enum status entries_write(struct service *svc, struct arena *a, const struct coupon *c);

/* Writes only the descriptor, as MySQL has it. As entries_write. */
enum status entries_describe(struct service *svc, struct arena *a, int64_t coupon);

#endif
