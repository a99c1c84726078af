/*
 * On a cluster a customer's list is on another server than the order itself, and what it names is evidence of an order
 * that its own servers may have lost: the customer was told its number.
 */
#ifndef AUDIT_LISTS_H
#define AUDIT_LISTS_H

#include "sale/service.h"
#include "sale/status.h"

struct listed {
	int64_t coupon, number, user, claimed_ms;
	int segment;
};

/* Orders that customers' lists name, and that are neither among the owners nor in MySQL. */
struct audit_lists {
	struct listed *at; /* by coupon, segment, number. malloc's memory */
	int count;
};

/*
 * Of one coupon, or of all: 0. Looks at every customer there is. With one server there are none: it has the order and
 * the list, or has lost both. At most 10,000. Blocks. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. The caller ends
 * it with audit_lists_release, whatever came back.
 */
enum status audit_lists_read(struct service *svc, int64_t coupon, struct audit_lists *out);
void audit_lists_release(struct audit_lists *l);

/* Those of a segment: how many, and the first. */
int audit_lists_of(const struct audit_lists *l, int64_t coupon, int segment, const struct listed **first);

#endif
