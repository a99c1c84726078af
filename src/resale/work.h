/*
 * What drainers do for orders that end: unpaid ones expire, owners are released, hubs are told, and units are looked
 * for in the name of late payments. Everything is found by an index, in bounded steps, and may be repeated; what one
 * drainer leaves when it is killed, another one does. Blocks for MySQL and Redis.
 */
#ifndef RESALE_WORK_H
#define RESALE_WORK_H

#include "base/arena.h"
#include "resale/step.h"
#include "sale/service.h"

struct work;
/* The service needs the engine (purchase.h). */
struct work *work_new(struct service *svc);
void work_free(struct work *w);

/*
 * Does what is due, for about a fifth of a second at most; only one batch of each kind when others wait, because the
 * drainer has many orders to drain. Without work this is one query.
 */
enum step work_step(struct work *w, struct arena *a, bool others_wait);

/* How long the drainer may rest before the next step, if it has nothing else to do; at most `most`. */
int work_rest_ms(const struct work *w, int most);

#endif
