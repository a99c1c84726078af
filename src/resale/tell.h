/*
 * Telling hubs: of coupons whose totals have changed in MySQL (hub_told = 0), because orders were paid or their units
 * came back, the hubs get the totals. A hub that must let sold-out notices run out before it grants is opened after
 * that time, without waiting for it here. What changes within a tenth of a second is told at once. Blocks for MySQL and
 * Redis.
 */
#ifndef RESALE_TELL_H
#define RESALE_TELL_H

#include "base/arena.h"
#include "resale/step.h"
#include "sale/service.h"

struct tell;
struct tell *tell_new(struct service *svc);
void tell_free(struct tell *t);

/* Tells the next hubs, at most 32. One that cannot be told now is tried again a second later. */
enum step tell_step(struct tell *t, struct arena *a);

/*
 * Opens the hubs that have waited long enough. To be called when tell_rest_ms is over. If the process ends before,
 * workers open the hubs, a little later.
 */
void tell_open(struct tell *t, struct arena *a);

/* How long until something is due that tell_step or tell_open does by time; INT_MAX: nothing. */
int tell_rest_ms(const struct tell *t);

#endif
