/* How far the orders of each segment are committed: rows of MySQL, one for each segment of a coupon. Blocks. */
#ifndef SALE_CURSORS_H
#define SALE_CURSORS_H

#include "base/arena.h"
#include "mysql/db.h"
#include "sale/service.h"
#include "sale/status.h"

struct cursor {
	int64_t base; /* the segment's highest base */
	int64_t next; /* the lowest number above this base for which MySQL has neither an order nor a dead letter */
	bool exists;  /* MySQL has a row; a segment without one has base 0 and next 1 */
};

/* Reads the cursors of a coupon. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status cursors_read(struct service *svc, struct arena *a, int64_t coupon, int segments, struct cursor *cursors);

/* Reads the cursor of one segment. 0; -1: the database has failed, as in the functions below. */
int cursor_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct cursor *cursor) MUST_CHECK;

/* As above, within a transaction of the caller; the cursors are locked until it ends. Both: 0, or -1. */
int cursors_lock(struct service *svc, struct arena *a, int64_t coupon, int segments, struct cursor *cursors) MUST_CHECK;
int cursor_lock(struct service *svc, struct arena *a, int64_t coupon, int segment, struct cursor *cursor) MUST_CHECK;

#endif
