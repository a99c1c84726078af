/* The report of an audit: the numbers that its parts read of a coupon, and the findings. */
#ifndef AUDIT_REPORT_H
#define AUDIT_REPORT_H

#include "audit/finding.h"
#include "audit/lists.h"
#include "sale/coupon.h"
#include "sale/numbers.h"
#include "sale/slot.h"

struct audit_segment {
	struct slot_segment own; /* what the segment keeps */
	struct slot_share hub;   /* what the hub keeps of the segment */
	int64_t queued;          /* orders on its list */
	int64_t acknowledged;    /* the highest number that this host has acknowledged; 0: none */
	struct cursor cursor;
};

/* Totals of a coupon, which only grow. The drainers tell the hub those of MySQL. */
struct audit_totals {
	int64_t cancelled, final, final_cancelled;
	bool told; /* the hub has them */
};

struct audit {
	struct coupon coupon;
	int64_t skipped;                      /* numbers without a unit, from a recovery of layout 1 */
	int64_t amount, cancelled, withdrawn; /* units put on sale, given back by orders, taken off sale */
	int64_t hub, in_flight, left, sold;   /* units, by where they are; cancelled units count as sold, too */
	int64_t queued;                       /* orders on the lists */
	int64_t rows, counted;                /* live order rows, coupons.sold */
	int64_t unpaid;                       /* rows of unpaid_orders */
	struct audit_totals totals, told;     /* in MySQL, before Redis was read; at the hub */
	bool pays;                            /* by the hub: orders wait for payment */
	int64_t dead, dropped;                /* dead letters: open ones, dropped ones */
	bool published;                       /* false: the creation was interrupted, so no unit can have been sold */
	bool archived;                        /* it has no slots: all that is audited is in MySQL */
	bool sold_out;                        /* declared by the hub */
	bool suspect;                         /* an inspection is due */
	struct audit_segment *segments;
	const struct audit_lists *lists;
	struct findings findings; /* empty: the audit is balanced */
};

/* All fields but `lists` may be zero. */
struct audit_options {
	const struct audit_lists *lists; /* of this coupon or of all coupons; read before the audit */
	int64_t window;                  /* order numbers compared at a time, 10 bytes each; 0: a million */
	/* Called every 16,384 orders: `count` orders of a segment were read in this place. May be NULL. */
	void (*progress)(void *context, int segment, const char *place, int64_t count);
	void *context;
};

#endif
