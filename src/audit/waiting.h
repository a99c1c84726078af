/* Compares a waiting list with MySQL and with the hub. */
#ifndef AUDIT_WAITING_H
#define AUDIT_WAITING_H

#include "audit/report.h"

/* After audit_units. Adds to the audit's findings. Blocks. STATUS_OK, STATUS_UNAVAILABLE. */
enum status audit_waiting(struct service *svc, struct arena *a, struct audit *audit);

#endif
