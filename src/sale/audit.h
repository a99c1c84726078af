/*
 * The proof, for one coupon: units = hub + in flight + left + sold, and every
 * order is in Redis and, drained or waiting, in exactly one place. Reads
 * only. Blocks; a segment's orders are held in memory while it is compared.
 */
#ifndef SALE_AUDIT_H
#define SALE_AUDIT_H

#include "sale/coupon.h"

struct audit_segment {
	int64_t left, sold, queued;             /* the segment's, and its list's length */
	int64_t granted, taken, received, sent; /* totals: hub, hub, segment, segment */
	int64_t cursor;                         /* orders below it are in MySQL */
};

struct audit {
	struct coupon coupon;
	int64_t amount, cancelled, hub, in_flight, left, sold, queued; /* units; sold: by Redis, cancelled ones too */
	int64_t rows, counted, dead;                                   /* order rows, coupons.sold, dead letters */
	bool published, sold_out;
	struct audit_segment *segments;
	struct buf problems; /* a line each; empty: balanced */
};

/* Reads the units; compares nothing. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status audit_read(struct service *svc, struct arena *a, int64_t coupon, struct audit *out);

/* Reads and compares everything. The same statuses: what does not balance is in out->problems. */
enum status audit_run(struct service *svc, struct arena *a, int64_t coupon, struct audit *out);

/* The ids of all coupons, or of the one named "seller/name". In the arena. */
enum status audit_find(struct service *svc, struct arena *a, const char *name, int64_t **ids, int *count);

#endif
