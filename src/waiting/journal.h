/*
 * The journal of a waiting list moves to MySQL: who joined, and who left. It is read, committed in one transaction, and
 * then trimmed, if its head is still what was read. A drainer that is killed in between leaves records that are moved
 * again, which changes nothing; so do two drainers.
 */
#ifndef WAITING_JOURNAL_H
#define WAITING_JOURNAL_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

/*
 * Moves records until the journal is empty, or for about 50 ms. STATUS_OK: it was empty; STATUS_PENDING: there is more;
 * STATUS_NO_SUCH_COUPON: MySQL does not have the coupon, nothing was done; STATUS_UNAVAILABLE: Redis or MySQL does not
 * answer. Blocks.
 */
enum status waiting_journal_move(struct service *svc, struct arena *a, int64_t coupon);

#endif
