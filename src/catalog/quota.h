/*
 * What a seller may create, and how much of Redis new coupons may use. All of
 * this blocks; cold pool only.
 */
#ifndef CATALOG_QUOTA_H
#define CATALOG_QUOTA_H

#include "sale/coupon.h"

/* Why a coupon is not created, for the seller to read. */
struct refusal {
	const char *detail; /* in the caller's arena; NULL: the text of the status */
	int retry_after_s;  /* 0: not known, or waiting does not help */
};

/*
 * Locks the seller until the transaction ends, so that creations of one seller are counted one after another, whatever
 * workers they run in. Call it first in the transaction. 0, or -1 with the reason in the db.
 */
int quota_lock(struct db *db, struct arena *a, int64_t seller) MUST_CHECK;

/*
 * Counts the seller's coupons, with the new row that the same transaction has inserted. STATUS_OK;
 * STATUS_QUOTA_EXCEEDED with *r set: roll back; STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status quota_check(struct service *svc, struct arena *a, int64_t seller, struct refusal *r);

/*
 * Whether every Redis server has more memory free than redis_reserve. STATUS_OK, also of a server without maxmemory;
 * STATUS_UNAVAILABLE: one has not (with *r set), or does not answer.
 */
enum status quota_check_memory(struct service *svc, struct arena *a, struct refusal *r);

#endif
