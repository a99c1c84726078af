/*
 * Coupons that Redis or order rows name and MySQL does not know: it was
 * restored from a backup that is older than they are. What they sold stays
 * where it is, as evidence; they are closed, so that they sell nothing more.
 * All of this blocks.
 */
#ifndef CATALOG_STRAY_H
#define CATALOG_STRAY_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

struct stray {
	int64_t coupon;
	int segments;                 /* 0: neither hub nor descriptor is there */
	struct str seller_name, name; /* of the descriptor; empty when it is gone, "?" when it is none */
	int64_t sold, queued;         /* order numbers given out by Redis; of these, orders on its lists */
	int64_t rows;                 /* orders in MySQL */
};

/*
 * All of them, in the arena; what creations that were cut short have left in Redis is removed. Reads every key of Redis
 * and asks MySQL once for each coupon that has orders. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status strays_find(struct service *svc, struct arena *a, struct stray **strays, int *count);

/* Only the names and the segments of one. STATUS_OK, STATUS_UNAVAILABLE. */
enum status stray_names(struct service *svc, struct arena *a, int64_t coupon, struct stray *s);

/* What Redis and the orders say of one coupon that MySQL does not know. The same statuses. */
enum status stray_read(struct service *svc, struct arena *a, int64_t coupon, struct stray *s);

/*
 * Closes all its slots and enters it among the closed sales, which /readyz names. Once MySQL knows the coupon, the next
 * inspection looks at it as after a restart, and opens it when all is whole. Workers may answer "sold out" on the
 * hub's old word for a moment: sold_out_outlast. STATUS_OK, also when it was closed already; STATUS_UNAVAILABLE.
 */
enum status stray_close(struct service *svc, struct arena *a, const struct stray *s);

/* Users whom orders name and MySQL does not know: the first `most` ids, and how many orders each has. In the arena. */
struct stray_user {
	int64_t user, orders;
};
enum status stray_users(struct service *svc, struct arena *a, int most, struct stray_user **users, int *count);

#endif
