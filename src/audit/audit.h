/*
 * The proof, for one coupon: units = hub + in flight + left + sold, and every
 * order is in Redis and, drained, waiting or a dead letter, in exactly one
 * place. Reads only; blocks. Memory does not grow with the orders.
 *
 * It may run while the sale goes on: everything is read in an order in which
 * it can be compared without stopping anything, and what looks wrong all the
 * same is looked at a second time, once no inspection is due any more.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "audit/finding.h"
#include "audit/lists.h"
#include "sale/coupon.h"
#include "sale/numbers.h"

struct audit_segment {
	int64_t left, sold, queued;             /* the segment's, and its list's length */
	int64_t last, base, term;               /* its highest number, the one before its first, the hub's term */
	int64_t granted, taken, received, sent; /* totals: hub, hub, segment, segment */
	int64_t hub_base;                       /* the base that the hub knows */
	int64_t told;                           /* the highest number that this host was told of, 0: none */
	struct cursor cursor;
};

struct audit {
	struct coupon coupon;
	int64_t skipped; /* see the recovery of layout 1 */
	int64_t amount, cancelled, withdrawn, hub, in_flight, left, sold,
		queued;        /* units; cancelled ones are sold, too */
	int64_t rows, counted; /* live order rows, coupons.sold */
	int64_t dead, dropped; /* dead letters that are open; those that were given up */
	bool published, sold_out;
	bool in_doubt; /* an inspection is due */
	struct audit_segment *segments;
	const struct audit_lists *lists;
	struct findings findings; /* none: balanced */
};

/* How an audit is done, and who wants to see how far it is; all but `lists` may be zero. */
struct audit_manner {
	const struct audit_lists *lists; /* of this coupon, or of all, as they were read before the audit */
	int64_t window;                  /* numbers compared at a time, at 9 bytes each; 0: a million */
	/* Now and then: how many of a segment's orders were read at this place. May be NULL. */
	void (*progress)(void *context, int segment, const char *place, int64_t count);
	void *context;
};

/*
 * Reads the units, and compares them with each other. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL. The caller ends it with audit_release, whatever came back.
 */
enum status audit_read(struct service *svc, struct arena *a, int64_t coupon, struct audit *out);

/* Reads and compares everything, twice when something looks wrong. The same statuses: what is wrong is in findings. */
enum status audit_run(struct service *svc, struct arena *a, int64_t coupon, const struct audit_manner *manner,
		      struct audit *out);
void audit_release(struct audit *a);

/* The ids of all coupons, or of the one named "seller/name". In the arena. */
enum status audit_find(struct service *svc, struct arena *a, const char *name, int64_t **ids, int *count);

#endif
