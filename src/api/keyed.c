/* The Idempotency-Key of a seller's request. */
#include "account/request_key.h"
#include "api/handlers.h"

/* A path with and without a slash at its end is the same, so the digest is that of its parts. */
static void set_key(struct request *rq, struct request_key *k)
{
	struct str asked[PATH_MAX_PARTS + 2] = { rq->method, rq->body };
	for (int i = 0; i < rq->parts; i++)
		asked[i + 2] = rq->part[i];
	request_key_set(k, rq->token.user, rq->idempotency_key, asked, rq->parts + 2);
}

enum status keyed_begin(struct request *rq, struct request_key *k)
{
	*k = (struct request_key){ 0 };
	enum status s = request_idempotency(rq);
	if (s != STATUS_OK || !rq->idempotency_key.n)
		return s;
	set_key(rq, k);
	s = request_key_find(rq->service, rq->arena, k);
	if (s == STATUS_QUOTA_EXCEEDED)
		rq->response.detail = k->detail;
	return s;
}

bool keyed_was_done(struct request *rq, struct request_key *k, enum status s)
{
	enum { REFUSED = 4 };
	return k->key.n && status_http(s) / 100 == REFUSED &&
	       request_key_find(rq->service, rq->arena, k) == STATUS_REPEATED;
}
