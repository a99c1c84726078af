/* Backlogs: coupons that have orders on their lists in Redis, for the drainers. */
#ifndef DRAIN_BACKLOG_H
#define DRAIN_BACKLOG_H

#include "base/arena.h"
#include "sale/service.h"

struct backlog {
	int64_t coupon, queued; /* queued: orders on the lists of all segments, when they were measured */
	int segments;
};

struct backlogs {
	struct backlog *at;
	int count;
};

/* Sets `queued` of each coupon. False: some lists could not be read; they count as empty. Blocks. */
bool backlogs_measure(struct service *svc, struct arena *a, struct backlogs *b);

/* Enter the coupon in sk:dirty, and remove it. Only send the command, and do not wait for the reply. */
void backlog_enter(struct service *svc, const struct backlog *b);
void backlog_remove(struct service *svc, const struct backlog *b);

#endif
