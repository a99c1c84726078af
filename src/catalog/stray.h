/*
 * Strays: coupons that Redis or order rows name, but that have no row in MySQL, because MySQL was restored from an
 * older backup. Their orders are left where they are, as evidence; the coupons are quarantined, so that no more units
 * are sold. All functions block.
 */
#ifndef CATALOG_STRAY_H
#define CATALOG_STRAY_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

struct stray {
	int64_t coupon;
	int segments;                 /* 0: Redis has neither hub nor descriptor */
	struct str seller_name, name; /* from the descriptor; empty without one, "?" for a text that is no name */
	int64_t sold, queued;         /* sold: order numbers that Redis has given out; queued: orders on its lists */
	int64_t rows;                 /* orders in MySQL */
};

/*
 * Lists all strays, in the arena. Removes from Redis the slots of abandoned creations that were left over. Reads the
 * name of every key of Redis, and asks MySQL once for each coupon that has orders. STATUS_OK, STATUS_UNAVAILABLE,
 * STATUS_INTERNAL.
 */
enum status strays_find(struct service *svc, struct arena *a, struct stray **strays, int *count);

/* Reads only the names and the number of segments of a stray. STATUS_OK, STATUS_UNAVAILABLE. */
enum status stray_names(struct service *svc, struct arena *a, int64_t coupon, struct stray *s);

/* Reads all fields of a stray, from Redis and the order rows. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status stray_read(struct service *svc, struct arena *a, int64_t coupon, struct stray *s);

/*
 * Quarantines all slots of a stray, and enters it in the set of quarantined coupons, which /readyz names. Once MySQL
 * has the coupon again, the next inspection opens it if its slots are complete. For a moment workers may still answer
 * from a sold-out notice; see sold_out_outlast. STATUS_OK, also when it was quarantined already; STATUS_UNAVAILABLE.
 */
enum status stray_close(struct service *svc, struct arena *a, const struct stray *s);

/*
 * Lists users that order rows name and the table users does not have: the first `most` ids, and how many orders each
 * has, in the arena. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
struct stray_user {
	int64_t user, orders;
};
enum status stray_users(struct service *svc, struct arena *a, int most, struct stray_user **users, int *count);

#endif
