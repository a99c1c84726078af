/* Checks the entries in Redis by which the coupon, its seller and its waiting orders are found. */
#ifndef AUDIT_ENTRIES_H
#define AUDIT_ENTRIES_H

#include "audit/report.h"

/* After audit_units. Adds to the audit's findings. Blocks. STATUS_OK, STATUS_UNAVAILABLE. */
enum status audit_entries(struct service *svc, struct arena *a, struct audit *audit);

#endif
