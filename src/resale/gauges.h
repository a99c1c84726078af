/* What waits for the drainers, or for an operator, because of orders that end: for /metrics. */
#ifndef RESALE_GAUGES_H
#define RESALE_GAUGES_H

#include "base/arena.h"
#include "sale/service.h"

/* Sets the gauges. If a server does not answer they keep their values; other gauges show the outage. Blocks. */
void gauges_set(struct service *svc, struct arena *a);

#endif
