/*
 * The fields of a token's payload, read after its signature was verified. There are two readers; where both succeed,
 * they read the same.
 */
#ifndef ACCOUNT_TOKEN_PAYLOAD_H
#define ACCOUNT_TOKEN_PAYLOAD_H

#include <stdint.h>

#include "base/arena.h"

struct token_payload {
	struct str subject, name, kind, issuer, audience, id;
	int64_t issued_s, not_before_s, expires_s;
};

/* Reads a JSON object. False: a member is missing, or has a wrong type or bounds. Texts are in the arena. */
bool token_payload_read(struct arena *a, struct str json, struct token_payload *p);

/*
 * Reads the one spelling that token_issue writes, without a parser and without allocating: texts point into `json`.
 * False: the payload is spelled differently, and may still be valid.
 */
bool token_payload_read_own(struct str json, struct token_payload *p);

#endif
