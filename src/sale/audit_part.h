/* The parts of an audit that audit.c puts together; they add to its findings. */
#ifndef SALE_AUDIT_PART_H
#define SALE_AUDIT_PART_H

#include "sale/audit.h"

/* Order by order, one segment. */
enum status audit_orders(struct service *svc, struct audit *audit, int segment, const struct audit_manner *manner);

/* What Redis keeps to find the coupon, its seller and its orders by. */
enum status audit_entries(struct service *svc, struct arena *a, struct audit *audit);

#endif
