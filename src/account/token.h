/*
 * Tokens: JWT with HS256 and a key for each kid, issued by libjwt. The signature of a token whose header is byte for
 * byte the header that we write is checked by OpenSSL's HMAC, that of any other token by libjwt. token_payload.h reads
 * the payload. Logged-out tokens are refused by their jti.
 */
#ifndef ACCOUNT_TOKEN_H
#define ACCOUNT_TOKEN_H

#include <stdint.h>

#include "base/arena.h"
#include "host/conf.h"
#include "sale/status.h"

enum user_kind { KIND_CUSTOMER = 1, KIND_SELLER = 2 };

struct token {
	int64_t user; /* sub */
	struct str name;
	enum user_kind kind;
	int64_t expires_s; /* exp */
	uint64_t id;       /* jti */
};

/* How long a logged-out token is kept after its expiry: clocks of hosts differ, and may jump. */
enum { REVOKED_KEEP_S = 3600 };

struct tokens;

/*
 * Reads conf->token_key_file; keeps a pointer to conf. NULL: *problem, in the arena, says what is wrong with the file.
 * Freed by tokens_free.
 */
struct tokens *tokens_new(const struct conf *conf, struct arena *a, const char **problem);
void tokens_free(struct tokens *t);

/* Issues a token for t->user, name and kind that expires token_ttl_s from now; sets id and expires_s. In the arena. */
struct str token_issue(struct tokens *ts, struct arena *a, struct token *t);

/*
 * Checks the value of an Authorization header, "Bearer JWT" or the bare JWT. STATUS_OK with *t set (its name points
 * into the JWT or the arena), or STATUS_NO_TOKEN, STATUS_BAD_TOKEN, STATUS_EXPIRED_TOKEN, STATUS_REVOKED_TOKEN.
 */
enum status token_check(struct tokens *ts, struct arena *a, struct str authorization, int64_t now_s, struct token *t);

/* Checks a bare JWT by libjwt and json-c alone: slow, the reference that tests compare token_check with. */
enum status token_check_libjwt(struct tokens *ts, struct arena *a, struct str jwt, int64_t now_s, struct token *t);

/* Makes token_check refuse a token as logged out, until REVOKED_KEEP_S after its expiry. Safe to repeat. */
void tokens_revoke(struct tokens *ts, uint64_t id, int64_t expires_s);

#endif
