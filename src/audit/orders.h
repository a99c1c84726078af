/* Compares the orders of a segment, one by one, in all places where they should be. */
#ifndef AUDIT_ORDERS_H
#define AUDIT_ORDERS_H

#include "audit/report.h"

/* Adds to the audit's findings. Blocks. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status audit_orders(struct service *svc, struct audit *audit, int segment, const struct audit_options *options);

#endif
