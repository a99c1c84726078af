/*
 * Copies logged-out tokens between Redis's set and MySQL's rows, so that a token stays refused when one of the two has
 * lost it: Redis was started empty or with older data, MySQL was restored from a dump or was unreachable during a
 * logout. Every drainer does this, and may repeat the work of another drainer.
 */
#ifndef ACCOUNT_REVOCATION_SYNC_H
#define ACCOUNT_REVOCATION_SYNC_H

#include "sale/service.h"

struct revocation_sync;
struct revocation_sync *revocation_sync_new(struct service *svc);
void revocation_sync_free(struct revocation_sync *s);

/*
 * Does a step of the present round: copies a batch and removes expired rows. A round begins every five seconds, and at
 * once when Redis has another incarnation; MySQL's rows are then entered without a pause. A step that fails, because a
 * server does not answer, is repeated after a second. Blocks, for 50 ms at most while both servers answer. Returns true
 * when the next step is due at once.
 */
bool revocation_sync_step(struct revocation_sync *s);

#endif
