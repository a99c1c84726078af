/*
 * What Redis has of one order: on the list of its segment, among the segment's owners, and on a cluster in its
 * customer's list. Blocks.
 */
#ifndef ORDER_TRACE_H
#define ORDER_TRACE_H

#include "sale/order_number.h"
#include "sale/order_record.h"
#include "sale/service.h"
#include "sale/status.h"

struct trace {
	/* Set by the caller. */
	struct order_number number;
	int64_t user, generation; /* user: the customer, 0: not known; generation: the coupon's */

	/* Set by trace_segment. */
	enum status segment; /* STATUS_OK: open; STATUS_BUSY: suspect; STATUS_FENCED: quarantined */
	bool is_on_list;
	int owned_unit; /* the unit for which the segment's owners have this order for this customer; 0: none */
	struct order_record record; /* on the list; sequence 0: the list has none, or it cannot be read */
	int64_t last, base;         /* last: the highest number that was given out; base: -1: it cannot be read */

	/* Set by trace_customer_list. */
	/* when it was claimed, as the customer's list has it; 0: the list does not name it, or there are no such lists
	 */
	int64_t listed_ms;
};

/* STATUS_OK, STATUS_UNAVAILABLE. */
enum status trace_segment(struct service *svc, struct arena *a, struct trace *t);
enum status trace_customer_list(struct service *svc, struct arena *a, struct trace *t);

#endif
