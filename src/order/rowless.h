/*
 * Finds a customer's orders that may have no row in MySQL.
 *
 * A cluster keeps a list of order numbers for each customer. A single server has none, because writing it would cost
 * every claim: an order without a row is on the list of its segment, so that its coupon is in sk:dirty; or its coupon
 * is closed; or it is a dead letter; and the owners of the customer's home segment have its number, for one of the
 * units.
 */
#ifndef ORDER_ROWLESS_H
#define ORDER_ROWLESS_H

#include "order/order.h"

struct rowless {
	struct order
		*orders; /* in the arena; their number and user are set, claimed_ms and unit where they are known */
	int count;
	const char *problem; /* with STATUS_BUSY: the reason, for the customer */
	enum status mysql;   /* not STATUS_OK: MySQL failed, so that dead letters are left out */
};

/*
 * All orders that have no row now are found, and some that have one. To be called before rows are read, so that an
 * order that a drainer moves meanwhile is found here or there. Blocks. STATUS_OK; STATUS_UNAVAILABLE: Redis does not
 * answer; STATUS_BUSY: orders of too many coupons are on lists.
 */
enum status rowless_find(struct service *svc, struct arena *a, int64_t user, struct rowless *found);

#endif
