/*
 * A drainer's lease on a coupon, to drain, expire or release its orders. It saves work and protects nothing, because
 * two drainers may work on one coupon. A drainer that is stopped keeps its lease for two seconds, as it keeps its locks
 * in MySQL (db_begin).
 */
#ifndef DRAIN_LEASE_H
#define DRAIN_LEASE_H

#include "base/arena.h"
#include "sale/service.h"

enum { LEASE_MS = 2000 };

/*
 * False: another drainer has the lease. True also when Redis cannot write it, because Redis is full, has too few
 * replicas or does not answer. The token only says who has it. Blocks.
 */
bool lease_take(struct service *svc, struct arena *a, int64_t coupon, const char *token);

/* To be called within LEASE_MS: later the lease may be another drainer's. Does not wait for the reply. */
void lease_release(struct service *svc, int64_t coupon);

#endif
