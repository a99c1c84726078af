/*
 * Keys of requests (the header Idempotency-Key): a seller's request that is sent again, because its answer was lost, is
 * not carried out again. The row of a key is written in the very transaction that makes the change, so that a process
 * that is killed leaves both or neither. Only requests that succeed leave a row; one that was refused has changed
 * nothing, and is simply carried out when it comes again. To use it for a route:
 *
 *   1. request_key_set, then request_key_find, before anything that depends on what the sale is like now. (For a
 *      handler, keyed_begin of api/handlers.h does both.)
 *   2. After STATUS_REPEATED the change is committed: do what has to follow the commit, which must bear repetition, and
 *      give the answer of k->answer. Whether the request would still be allowed does not matter.
 *   3. After STATUS_OK do the work, and call request_key_write as the last statement of its transaction, with all that
 *      is needed to give the same answer again. Roll back unless it returns STATUS_OK.
 *
 * The functions accept NULL, or a key that is empty, for a request without one: then there is nothing to find and to
 * write. They block, for MySQL. Rows are kept for REQUEST_KEY_HOURS, then drainers delete them.
 */
#ifndef ACCOUNT_REQUEST_KEY_H
#define ACCOUNT_REQUEST_KEY_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

enum {
	REQUEST_KEY_HOURS = 24,
	REQUEST_KEY_MAX = 255,     /* bytes of a key */
	REQUEST_ANSWER_MAX = 32768 /* bytes of an answer */
};

struct request_key {
	int64_t seller;
	struct str key;           /* empty: the request has none */
	unsigned char digest[32]; /* of what is asked for */
	struct str answer;        /* set with STATUS_REPEATED: what request_key_write was given; in the arena */
	const char *detail;       /* set with STATUS_QUOTA_EXCEEDED, for the seller to read; in the arena */
};

/* `asked` is all that another request must have in common: the method, the path and the body. Texts are not copied. */
void request_key_set(struct request_key *k, int64_t seller, struct str key, const struct str asked[], int count);

/*
 * Looks the key up. STATUS_OK: there is none, or it is new; STATUS_REPEATED: this very request was carried out before;
 * STATUS_KEY_REUSED: another request was; STATUS_IN_PROGRESS: a transaction that writes this key is not committed yet;
 * STATUS_QUOTA_EXCEEDED: the seller has as many keys as the setting keys_per_seller allows; STATUS_UNAVAILABLE,
 * STATUS_INTERNAL, which are logged. Not to be called in a transaction.
 */
enum status request_key_find(struct service *svc, struct arena *a, struct request_key *k);

/*
 * Writes the key in the caller's transaction. `coupon`: the coupon that the transaction creates, whose row takes the
 * key along if its creation is cut short and removed; else 0. STATUS_OK, also without a key; STATUS_IN_PROGRESS:
 * another request with this key was faster, so this one must be rolled back; STATUS_INTERNAL: the database has failed
 * (see db_failure), which is not logged.
 */
enum status request_key_write(struct service *svc, const struct request_key *k, struct str answer, int64_t coupon);

/*
 * Deletes up to 1000 keys that are older than REQUEST_KEY_HOURS, by this host's clock. *more: there may be more of
 * them. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. Needs the drainers' MySQL account.
 */
enum status request_key_expire(struct service *svc, bool *more);

#endif
