/* Backlogs: coupons that have orders on their lists in Redis, for the drainers. */
#ifndef DRAIN_BACKLOG_H
#define DRAIN_BACKLOG_H

#include "base/arena.h"
#include "sale/service.h"

struct backlog {
	int64_t coupon;
	int64_t queued; /* orders on the lists of all segments when they were measured; or lists with orders */
	int segments;
};

struct backlogs {
	struct backlog *at;
	int count;
};

/*
 * Both set `queued` of each coupon. backlogs_measure counts the orders; backlogs_find only counts the lists that have
 * orders, which on a single server takes few commands. False: some lists could not be read; they count as empty. Both
 * block.
 */
bool backlogs_find(struct service *svc, struct arena *a, struct backlogs *b);
bool backlogs_measure(struct service *svc, struct arena *a, struct backlogs *b);

/* Enter the coupon in sk:dirty, and remove it. Only send the command, and do not wait for the reply. */
void backlog_enter(struct service *svc, const struct backlog *b);
void backlog_remove(struct service *svc, const struct backlog *b);
/*
 * The same for a coupon without orders. On a single server nothing is removed if there are orders meanwhile; on a
 * cluster it is, and the caller measures the coupon once more.
 */
void backlog_forget(struct service *svc, const struct backlog *b);

#endif
