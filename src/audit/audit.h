/*
 * An audit checks one coupon: units = hub + in flight + left + sold; every order has an owner in Redis, and is in
 * exactly one other place: its segment's list, a row in MySQL or a dead letter. Changes nothing; blocks. Memory does
 * not grow with the orders.
 *
 * An audit may run during the sale, because it reads the values in an order in which they can be compared although they
 * change. If something looks wrong, everything is read a second time, after an inspection if one was due.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "audit/report.h"

/*
 * Reads the units and compares them with each other. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL. Call audit_release after any of them.
 */
enum status audit_read(struct service *svc, struct arena *a, int64_t coupon, struct audit *out);

/* Reads and compares everything, twice if something looks wrong. Returns the same statuses as audit_read. */
enum status audit_run(struct service *svc, struct arena *a, int64_t coupon, const struct audit_options *options,
		      struct audit *out);
void audit_release(struct audit *a);

/*
 * The ids of all coupons (name is NULL), or of the one named "seller/name", in the arena. STATUS_OK,
 * STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status audit_find(struct service *svc, struct arena *a, const char *name, int64_t **ids, int *count);

#endif
