/*
 * Logged-out tokens. Workers learn of them from one sorted set in Redis
 * (KEY_REVOKED) and keep them in memory, so that a check costs no call to
 * Redis. A row in MySQL is kept beside each entry, and revocation_sync.h restores
 * either side from the other. Both forget a token REVOKED_KEEP_S after it
 * has expired.
 */
#ifndef ACCOUNT_REVOCATION_H
#define ACCOUNT_REVOCATION_H

#include "account/token.h"
#include "sale/service.h"

/*
 * REVOKED_MAX bounds the set, so that strangers who log in and out all day cannot take the memory that sales need.
 * REVOKED_CHUNK is how many tokens go into one call of the script and into one statement.
 */
enum { REVOKED_MAX = 1000000, REVOKED_CHUNK = 40 };

struct revocation {
	uint64_t id;       /* jti */
	int64_t expires_s; /* exp */
};

/* Hot pool: reads the set every half second, on the loop. */
void revocation_watch(struct service *svc);

/* Cold pool: reads it now, unless it did within the last half second. Blocks. */
void revocation_refresh(struct service *svc);

/*
 * Logs a token out everywhere. STATUS_OK: it is refused from now on, and Redis and MySQL have it. STATUS_UNAVAILABLE,
 * STATUS_INTERNAL (of MySQL): at most one of them has it yet; the drainers bring it to the other one, and it is safe to
 * ask again. STATUS_BUSY: the set is full, and nothing was done. Blocks.
 */
enum status revocation_token(struct service *svc, const struct token *t);

/* Both sides, for revocation_sync.c. */

/* An entry of the set. False: it is not one. */
bool revocation_read_entry(struct str entry, struct revocation *r);

/* A call of the script that enters up to REVOKED_CHUNK tokens; its reply is how many there was no room for. */
void revocation_command(struct redis_command *c, const struct revocation *r, int count);

/* Rows for up to REVOKED_CHUNK tokens; those that have one stay as they are. As db_run. */
int revocation_insert(struct db *db, const struct revocation *r, int count) MUST_CHECK;

/* A token's id as MySQL has it, and back. */
struct revoked_id {
	char bytes[8];
};
struct revoked_id revocation_id(uint64_t id);
uint64_t revocation_read_id(struct str bytes); /* 0 when these are not 8 bytes */

#endif
