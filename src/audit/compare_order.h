/* Decides from the places in which a segment's order numbers were seen what is wrong with each. */
#ifndef AUDIT_COMPARE_ORDER_H
#define AUDIT_COMPARE_ORDER_H

#include "audit/compare.h"

/* Both add to the audit's findings, and set c->status if a server does not answer. Both block. */

/* Compares the numbers of the window. Call it after all places were read. */
void compare_orders(struct compare *c);

/* Compares the totals of the segment. Call it after the last window. */
void compare_segment(struct compare *c);

#endif
