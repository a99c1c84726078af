/*
 * On a cluster a customer's list is usually on another server than the order. An order on the list was acknowledged;
 * the order's own servers may have lost it.
 */
#ifndef AUDIT_LISTS_H
#define AUDIT_LISTS_H

#include "sale/service.h"
#include "sale/status.h"

struct listed {
	int64_t coupon, number, user, claimed_ms;
	int segment;
};

/* Orders that customers' lists name and that have neither an owner nor a row. audit_lists_release frees. */
struct audit_lists {
	struct listed *at; /* by coupon, segment, number; at most 10,000 */
	int count;
};

/*
 * Reads the lists of all customers for orders of one coupon, or of all coupons (0). With a single server the result is
 * empty, because that server has both order and list or has lost both. Blocks. STATUS_OK, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL; call audit_lists_release after any of them.
 */
enum status audit_lists_read(struct service *svc, int64_t coupon, struct audit_lists *out);
void audit_lists_release(struct audit_lists *l);

/* The entries of one segment: returns their count; *first points to the first one (NULL: none). */
int audit_lists_of(const struct audit_lists *l, int64_t coupon, int segment, const struct listed **first);

#endif
