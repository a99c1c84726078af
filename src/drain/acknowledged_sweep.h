/*
 * Frees entries of this host's table of acknowledged order numbers: entries of sales that are over, and, when three
 * quarters of the table are used, every entry up to whose number MySQL has all orders.
 */
#ifndef DRAIN_ACKNOWLEDGED_SWEEP_H
#define DRAIN_ACKNOWLEDGED_SWEEP_H

#include "sale/service.h"

struct acknowledged_sweep;
struct acknowledged_sweep *acknowledged_sweep_new(struct service *svc);
void acknowledged_sweep_free(struct acknowledged_sweep *s);

/*
 * Looks at the next part of the table when the step is due. True: call it again at once, because few entries are free.
 * Blocks for MySQL, and for Redis where an order may be lost. Frees nothing while MySQL does not answer.
 */
bool acknowledged_sweep_step(struct acknowledged_sweep *s);

#endif
