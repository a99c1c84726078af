/* Reads the units in Redis, and compares them with each other and with what the audit has read from MySQL. */
#ifndef AUDIT_UNITS_H
#define AUDIT_UNITS_H

#include "audit/report.h"

/* Fills in the audit's numbers from Redis and adds to its findings. Blocks. STATUS_OK, STATUS_UNAVAILABLE. */
enum status audit_units(struct service *svc, struct arena *a, struct audit *audit);

#endif
