/* The customers' lists of all servers: which orders each customer was entered with. It looks at every customer there
 * is. */
#ifndef ORDER_CUSTOMER_LISTS_H
#define ORDER_CUSTOMER_LISTS_H

#include "sale/service.h"
#include "sale/status.h"

struct customer_lists {
	/* An entry, as it stands there: perhaps no order's number. Some are seen twice. */
	void (*see)(void *context, int64_t user, struct str order, int64_t claimed_ms);
	/* Some customers' entries were seen, and servers may be asked about them now. Another status ends it. May be
	 * NULL. */
	enum status (*pause)(void *context);
	void *context;
};

/* Blocks. STATUS_OK: all were seen; STATUS_UNAVAILABLE. A list that is none is passed over. */
enum status customer_lists_read(struct service *svc, const struct customer_lists *lists);

#endif
