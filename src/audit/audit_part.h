/* The parts of an audit that audit.c puts together; they add to its findings. */
#ifndef AUDIT_AUDIT_PART_H
#define AUDIT_AUDIT_PART_H

#include "audit/audit.h"

/* Adds a finding when this does not hold. */
void audit_expect(struct audit *audit, enum finding_kind kind, int segment, bool holds, int64_t is, int64_t want);

/* What Redis has of the units, compared with itself and with what the audit has from MySQL. */
enum status audit_units(struct service *svc, struct arena *a, struct audit *audit);

/* Order by order, one segment. */
enum status audit_orders(struct service *svc, struct audit *audit, int segment, const struct audit_manner *manner);

/* What Redis keeps to find the coupon, its seller and its orders by. */
enum status audit_entries(struct service *svc, struct arena *a, struct audit *audit);

#endif
