/*
 * Messages of payment providers, signed as the Standard Webhooks 1.0 say (https://www.standardwebhooks.com): a header
 * webhook-signature of "v1,BASE64" entries, of which one must be the HMAC-SHA256, under one of our keys, of
 * "ID.TIMESTAMP.BODY". Several keys are accepted, so that they can be replaced one after the other.
 */
#ifndef LIFECYCLE_WEBHOOK_H
#define LIFECYCLE_WEBHOOK_H

#include "base/arena.h"
#include "host/conf.h"

/* How far webhook-timestamp may be from this host's clock. */
enum { WEBHOOK_TOLERANCE_S = 300 };

struct webhook_keys;

/*
 * Reads conf->payment_key_file; if it is empty there are no keys. NULL: *problem, in the arena, says what is wrong with
 * the file. Freed by webhook_keys_free.
 */
struct webhook_keys *webhook_keys_new(const struct conf *conf, struct arena *a, const char **problem);
void webhook_keys_free(struct webhook_keys *ks);

/* Without keys no message is accepted. ks may be NULL: no keys. */
bool webhook_has_keys(const struct webhook_keys *ks);

/* The values of the headers as received, empty when missing, and the body. */
struct webhook {
	struct str id, timestamp, signature, body;
};

/*
 * NULL: one of our keys has signed this message, within WEBHOOK_TOLERANCE_S of now_s, seconds since 1970. Else what is
 * wrong with it, a constant. Takes the same time for every signature of one length.
 */
const char *webhook_problem(const struct webhook_keys *ks, const struct webhook *w, int64_t now_s);

#endif
