/* The body of a payment provider's message: {"type": "payment.succeeded", "data": {"payment": ...}}. */
#ifndef LIFECYCLE_MESSAGE_H
#define LIFECYCLE_MESSAGE_H

#include "base/arena.h"
#include "lifecycle/report.h"
#include "sale/status.h"

/*
 * Sets kind, payment, refund, amount and currency of a report about r->order. STATUS_OK: for a type that we do not
 * know, only the kind is set, REPORT_OTHER. STATUS_BAD_JSON, STATUS_BAD_FIELD: *problem, a constant or in the arena,
 * says why; one reason is that the body names another order.
 */
enum status message_read(struct arena *a, struct str body, struct report *r, const char **problem);

#endif
