/*
 * Looks at a coupon whose slots are in another life of their server, after a
 * restart, a failover or a resharding, and may lack the last writes. What can
 * be made right is made right: orders that MySQL has are written back, totals
 * that only one side remembers are exchanged, orders that are lost are named.
 * Then the slots are opened, each segment under a new base of order numbers.
 * What contradicts itself is closed, until recover.c has made it right.
 * Meanwhile claims of that coupon wait. Blocks.
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include "sale/service.h"
#include "sale/status.h"

/* Coupons that are inspected side by side. */
enum { INSPECT_MOST = 64 };

/* What one process remembers between its inspections. */
struct inspector;
struct inspector *inspector_new(struct service *svc);
void inspector_free(struct inspector *ins);

/*
 * Of each coupon, into results: STATUS_OK: every slot is open in its server's present life, now or already.
 * STATUS_FENCED: it is closed, the log says why. STATUS_NO_SUCH_COUPON, STATUS_INTERNAL, STATUS_UNAVAILABLE: nothing is
 * known, and nothing was changed. STATUS_BUSY: another inspection is ahead, or workers may still keep "sold out".
 * STATUS_UNAVAILABLE also when only segments are away, and the others were opened.
 */
void inspect_coupons(struct inspector *ins, struct arena *a, const int64_t *coupons, int count, enum status *results);

/* Some of those that were asked for by worklist_inspect. False: a server is away, of one at least. */
bool inspect_suspects(struct inspector *ins, struct arena *a);

/*
 * The coupons that inspections found closed, "seller/name", in the arena. STATUS_OK, STATUS_INTERNAL,
 * STATUS_UNAVAILABLE.
 */
enum status inspect_quarantined(struct service *svc, struct arena *a, struct str **titles, int *count);

#endif
