/*
 * Tokens: JWT, HS256, a key per kid. Issued by libjwt. The signature is
 * checked by OpenSSL's HMAC when the header is byte for byte ours, else by
 * libjwt; the claims are read by token_claims. Logged-out tokens are refused
 * by their jti.
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

/* So long after its expiry a logged-out token is remembered: clocks of several hosts differ, and may jump. */
enum { REVOKED_KEEP_S = 3600 };

struct tokens;

/* Reads conf->token_key_file. NULL: *problem says what is wrong (no file, a short key, a doubled kid). */
struct tokens *tokens_new(const struct conf *conf, struct arena *a, const char **problem);
void tokens_free(struct tokens *t);

/* A signed token for t->user, name, kind, valid from now for token_ttl_s; sets id and expires_s. In the arena. */
struct str token_issue(struct tokens *ts, struct arena *a, struct token *t);

/*
 * Checks an Authorization value ("Bearer JWT" or the bare JWT). STATUS_OK, or STATUS_NO_TOKEN, STATUS_BAD_TOKEN,
 * STATUS_EXPIRED_TOKEN, STATUS_REVOKED_TOKEN. Texts point into the arena.
 */
enum status token_check(struct tokens *ts, struct arena *a, struct str authorization, int64_t now_s, struct token *t);

/* The slow way, by libjwt and json-c alone: the reference that tests compare token_check with. */
enum status token_check_libjwt(struct tokens *ts, struct arena *a, struct str jwt, int64_t now_s, struct token *t);

/* Learns that a token was logged out; forgotten REVOKED_KEEP_S after it has expired. Safe to repeat. */
void tokens_revoke(struct tokens *ts, uint64_t id, int64_t expires_s);

#endif
