/* Limits how many coupons a seller may create, and how full Redis may be for new coupons. Blocks; cold pool only. */
#ifndef CATALOG_QUOTA_H
#define CATALOG_QUOTA_H

#include "sale/coupon.h"

/* Why a coupon is not created, for the seller to read. */
struct refusal {
	const char *detail; /* in the caller's arena; NULL: the text of the status */
	int retry_after_s;  /* 0: not known, or waiting does not help */
};

/*
 * Locks the seller's row until the transaction ends, so that creations of one seller are counted one after another.
 * Must be the first statement of the transaction. 0; -1: the database has failed.
 */
int quota_lock(struct db *db, struct arena *a, int64_t seller) MUST_CHECK;

/*
 * Counts the seller's coupons, including the row that the transaction has inserted. STATUS_OK; STATUS_QUOTA_EXCEEDED,
 * with *r set: the caller must roll back; STATUS_UNAVAILABLE; STATUS_INTERNAL.
 */
enum status quota_check(struct service *svc, struct arena *a, int64_t seller, struct refusal *r);

/* A quota of a seller, by the name of its setting. */
struct quota {
	const char *name;
	int64_t limit; /* 0: none */
	int64_t used;
};

enum { QUOTAS = 4 };

/* Reads the quotas of a seller and what is used of them. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status quota_read(struct service *svc, struct arena *a, int64_t seller, struct quota all[QUOTAS]);

/*
 * Checks that every Redis server has more free memory than redis_reserve. STATUS_OK, also when servers have no
 * maxmemory; STATUS_UNAVAILABLE: a server has less, and *r is set, or a server does not answer.
 */
enum status quota_check_memory(struct service *svc, struct arena *a, struct refusal *r);

#endif
