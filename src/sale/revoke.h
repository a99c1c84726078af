/*
 * Logged-out tokens travel through one sorted set in Redis (KEY_REVOKED, by
 * the time of the logout) to every worker, which keeps them in its memory: a
 * check costs no call to Redis. The set forgets what has expired.
 */
#ifndef SALE_REVOKE_H
#define SALE_REVOKE_H

#include "sale/service.h"
#include "sale/token.h"

/* Hot pool: reads the set every half second, on the loop. */
void revoke_watch(struct service *svc);

/* Cold pool: reads it now, unless it did within the last half second. Blocks. */
void revoke_refresh(struct service *svc);

/* Logs a token out everywhere. STATUS_OK, or STATUS_UNAVAILABLE: not logged out. Blocks. */
enum status revoke_token(struct service *svc, const struct token *t);

#endif
