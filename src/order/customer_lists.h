/* On a cluster, reads the list of every customer on all servers: which orders each customer has. */
#ifndef ORDER_CUSTOMER_LISTS_H
#define ORDER_CUSTOMER_LISTS_H

#include "sale/service.h"
#include "sale/status.h"

struct customer_lists {
	/* Called for each entry, for some twice. `order` is the text of the entry, and need not be an order number. */
	void (*see)(void *context, int64_t user, struct str order, int64_t claimed_ms);
	/*
	 * Called between two pages of customers; it may send commands and wait for them. The reading ends unless it
	 * returns STATUS_OK. May be NULL.
	 */
	enum status (*pause)(void *context);
	void *context;
};

/*
 * STATUS_OK: all entries were seen; STATUS_UNAVAILABLE: a server does not answer; or what `pause` returned. A key of
 * another type is passed over. Blocks.
 */
enum status customer_lists_read(struct service *svc, const struct customer_lists *lists);

#endif
