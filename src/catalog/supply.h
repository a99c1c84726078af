/*
 * Units that go on sale after the opening of a sale: a seller adds them, or orders that are over give them back. MySQL
 * has them first, then the hub; then the sold-out flags of the segments are cleared. While a sold-out flag or notice is
 * still valid, a claim may be refused because of it, so the hub grants no unit before the last of them has run out.
 * These functions do not wait for that: the caller waits, calls supply_open, and only then acknowledges the units. If
 * the caller dies before that, a worker waits as long and opens the sale (stock/refill.c).
 */
#ifndef CATALOG_SUPPLY_H
#define CATALOG_SUPPLY_H

#include "account/request_key.h"
#include "sale/coupon.h"

/* What is left to do after units were added: wait for wait_ms (0 to 1251), call supply_open, acknowledge the units. */
struct supply_opening {
	int64_t coupon, generation, epoch, wait_ms;
	int64_t amount;  /* the new total */
	struct str etag; /* of the sale with these units; of supply_add and supply_repeat */
	bool epoch_rose; /* the coupon was sold out, and this call has ended that */
};

/* What MySQL tells the hub. None of these ever gets lower. */
struct supply_totals {
	int64_t amount, cancelled;      /* units put on sale; units given back by orders that are over */
	int64_t final, final_cancelled; /* units that became final; of these, units that were given back */
	int64_t pays;                   /* 1: an order that is not paid in time gives its unit back */
	int64_t withdrawn, missed;      /* units taken off sale; units that a seller wanted back and nobody found */
};

/* Units to be added to a coupon of the seller. */
struct supply_request {
	int64_t seller;
	struct str name;
	int64_t units;
	struct str if_match;           /* empty: no condition */
	const struct request_key *key; /* NULL: none */
};

/*
 * Adds units, and sets *o. STATUS_OK; STATUS_NO_SUCH_COUPON; STATUS_ENDED; STATUS_PRECONDITION_FAILED: the sale is not
 * as rq->if_match says; STATUS_BAD_FIELD: the total would be above 1,000,000,000; STATUS_IN_PROGRESS: a request with
 * this key was faster; STATUS_FENCED; STATUS_INTERNAL; STATUS_UNAVAILABLE: the units are not added, or only in MySQL,
 * and then supply_redo adds them to the hub. Not safe to repeat without a key, because each call adds. Blocks for MySQL
 * and Redis.
 */
enum status supply_add(struct service *svc, struct arena *a, const struct supply_request *rq, struct supply_opening *o);

/*
 * For a request whose key was found (STATUS_REPEATED): what follows the commit of supply_add is done once more. Sets *o
 * as the first request did, and returns STATUS_OK, also when the sale is over and gone; STATUS_FENCED,
 * STATUS_UNAVAILABLE, STATUS_INTERNAL. Safe to repeat. Blocks for MySQL and Redis.
 */
enum status supply_repeat(struct service *svc, struct arena *a, const struct supply_request *rq,
			  struct supply_opening *o);

/*
 * Makes the hub grant the added units. To be called after o->wait_ms. Safe to repeat. If Redis does not answer, a
 * worker opens the sale, and until then the first customers wait. Blocks for Redis.
 */
void supply_open(struct service *svc, struct arena *a, const struct supply_opening *o);

/*
 * Tells the hub the totals of MySQL, and when the next unpaid order is due; and notes that in MySQL (coupons.hub_told),
 * unless something has changed meanwhile. Sets *o and returns as supply_add; where it fails, hub_told stays as it is.
 * Where o->wait_ms is 0, nobody is refused any more because of a sold-out flag or notice from before the units came
 * back; but flags that another process was to clear, and was killed, end only after SOLD_OUT_FLAG_MS. Safe to repeat.
 * Blocks for MySQL and Redis.
 */
enum status supply_tell(struct service *svc, struct arena *a, int64_t coupon, struct supply_opening *o);

/*
 * Raises the units put on sale and taken off sale in MySQL, and all totals of the hub, to the higher of both. They
 * differ if a worker was killed after it had changed MySQL, or if MySQL was restored from an older backup. The
 * drainers' sweep calls this for each coupon. Sets *o and returns as supply_add; STATUS_OK also when there is nothing
 * to raise; STATUS_BUSY: MySQL is older (see supply_check_mysql), nothing was raised, and an inspection is asked for.
 */
enum status supply_redo(struct service *svc, struct arena *a, int64_t coupon, struct supply_opening *o);

/* Whether a hub with these totals has all that MySQL has. */
bool supply_knows(const struct supply_totals *hub, const struct supply_totals *totals);

/* Raises MySQL's total to this one; never lowers it. 0, or -1 as db_run. */
int supply_raise(struct service *svc, int64_t coupon, int64_t amount) MUST_CHECK;

/*
 * Raises MySQL's totals of units taken off sale, and of units that were not found, to these; never lowers them. What
 * was asked for is not less than both. 0, or -1 as db_run.
 */
int supply_raise_withdrawn(struct service *svc, int64_t coupon, int64_t withdrawn, int64_t missed) MUST_CHECK;

/*
 * *is_older: the hub counts more orders that are over than MySQL, which was restored from a backup in which these
 * orders are live. Their units may be sold already, so nothing may be sold until a recovery has compared the orders.
 * STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE, STATUS_INTERNAL. Blocks for Redis and MySQL.
 */
enum status supply_check_mysql(struct service *svc, struct arena *a, int64_t coupon, bool *is_older);

#endif
