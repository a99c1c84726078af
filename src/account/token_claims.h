/* What a token says, once its signature is known to be ours. Read in two ways, which agree wherever both succeed. */
#ifndef ACCOUNT_TOKEN_CLAIMS_H
#define ACCOUNT_TOKEN_CLAIMS_H

#include <stdint.h>

#include "base/arena.h"

struct claims {
	struct str subject, name, kind, issuer, audience, id;
	int64_t issued_s, not_before_s, expires_s;
};

/* From a JSON object with all of these members, typed and within their bounds. False: not that. Texts in the arena. */
bool claims_read(struct arena *a, struct str json, struct claims *c);

/*
 * The same from the one spelling that token_issue uses, without a parser or an allocation: texts point into `json`.
 * False: spelled otherwise, which may still be good.
 */
bool claims_read_ours(struct str json, struct claims *c);

#endif
