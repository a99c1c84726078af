/* Coupons that inspections have quarantined, for /readyz. */
#ifndef INSPECT_QUARANTINED_H
#define INSPECT_QUARANTINED_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

/*
 * Their titles in the arena: "seller/name", of a stray "seller/name (ID, not in MySQL)" with "?" for a name that cannot
 * be read. STATUS_OK; STATUS_UNAVAILABLE: the list itself cannot be read, or MySQL does not answer. Blocks.
 */
enum status quarantined_list(struct service *svc, struct arena *a, struct str **titles, int *count);

#endif
