/*
 * Logged-out tokens. Workers read them from one sorted set in Redis (KEY_REVOKED) and keep them in memory, so that a
 * check needs no call to Redis. MySQL has a row for each entry, and revocation_sync.h restores either side from the
 * other. Redis and MySQL remove a token REVOKED_KEEP_S after its expiry.
 */
#ifndef ACCOUNT_REVOCATION_H
#define ACCOUNT_REVOCATION_H

#include "account/token.h"
#include "sale/service.h"

/*
 * REVOKED_MAX bounds the set, so that clients who log in and out all day cannot take the memory that sales need.
 * REVOKED_CHUNK tokens go into one call of the script and into one statement.
 */
enum { REVOKED_MAX = 1000000, REVOKED_CHUNK = 40 };

struct revocation {
	uint64_t id;       /* jti */
	int64_t expires_s; /* exp */
};

/* Hot pool: reads new entries of the set every half second, on the loop. */
void revocation_watch(struct service *svc);

/* Cold and auth pool: reads new entries now, unless they were read within the last half second. Blocks. */
void revocation_refresh(struct service *svc);

/*
 * Logs a token out for all workers. STATUS_OK: Redis and MySQL have the entry, and all workers refuse the token within
 * half a second. STATUS_UNAVAILABLE, STATUS_INTERNAL (of MySQL): one of the two may have the entry, and the drainers
 * copy it to the other; safe to repeat. STATUS_BUSY: the set is full, and nothing was done. Blocks.
 */
enum status revocation_token(struct service *svc, const struct token *t);

/* For revocation_sync.c */

/* Reads an entry of the set, "JTI:EXPIRES_S". False: it is malformed. */
bool revocation_read_entry(struct str entry, struct revocation *r);

/* Builds a call of lua/revoke.lua, which enters up to REVOKED_CHUNK tokens. Its reply: how many found no room. */
void revocation_command(struct redis_command *c, const struct revocation *r, int count);

/* Inserts rows for up to REVOKED_CHUNK tokens, except those that exist. Blocks. 0, or -1: the database has failed. */
int revocation_insert(struct db *db, const struct revocation *r, int count) MUST_CHECK;

/* Converts a token's id to the bytes that MySQL has, and back. */
struct revoked_id {
	char bytes[8];
};
struct revoked_id revocation_id(uint64_t id);
uint64_t revocation_read_id(struct str bytes); /* 0: there are not 8 bytes */

#endif
