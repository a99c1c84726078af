/*
 * Keeps Redis's set of logged-out tokens and MySQL's rows of them equal, so
 * that a token stays refused when either side has lost what it knew: Redis
 * was started empty or with older data, MySQL was restored from a dump or was
 * away during a logout. Done by the drainers; several of them at once repeat
 * each other's work, and do no harm.
 */
#ifndef ACCOUNT_REVOCATION_SYNC_H
#define ACCOUNT_REVOCATION_SYNC_H

#include "sale/service.h"

struct revocation_sync;
struct revocation_sync *revocation_sync_new(struct service *svc);
void revocation_sync_free(struct revocation_sync *s);

/*
 * A step of the present round: a batch is copied, and rows that have expired are removed. A round begins every few
 * seconds, and at once after Redis has come back in another life; MySQL's rows are then entered without a pause. A step
 * that fails, because a server is away, is repeated. Blocks, for 50 ms at most while both servers answer. Returns true
 * when the next step is due at once.
 */
bool revocation_sync_step(struct revocation_sync *s);

#endif
