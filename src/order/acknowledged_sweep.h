/*
 * Gives places of the table of acknowledged order numbers back: those of sales that are over, and when three quarters
 * of the table are taken all of which MySQL has every order. A drainer's work.
 */
#ifndef ORDER_ACKNOWLEDGED_SWEEP_H
#define ORDER_ACKNOWLEDGED_SWEEP_H

#include "sale/service.h"

struct acknowledged_sweep;
struct acknowledged_sweep *acknowledged_sweep_new(struct service *svc);
void acknowledged_sweep_free(struct acknowledged_sweep *s);

/*
 * Looks at a part of the table, when it is time to. True: call it again soon, because few places are left. Blocks for
 * one query of MySQL; nothing is given back while MySQL is away.
 */
bool acknowledged_sweep_step(struct acknowledged_sweep *s);

#endif
