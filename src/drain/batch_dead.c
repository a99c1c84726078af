#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "drain/batch_part.h"
#include "host/fault.h"
#include "order/dead_letter.h"
#include "sale/key.h"
#include "sale/scripts.h"

bool batch_is_refusal(const struct batch *b)
{
	enum db_failure f = db_failure(b->svc->db);
	return f == DB_DUPLICATE || f == DB_DATA;
}

int dead_letter_put(struct batch *b, int segment, int64_t number, struct str raw, const char *reason)
{
	int entered = dead_letter_bury(b->svc, b->coupon, segment, number, raw, reason);
	b->dead += entered > 0;
	return entered < 0 ? -1 : 0;
}

int dead_letter_put_refused(struct batch *b, const struct order_record *r, const char *reason)
{
	struct db *db = b->svc->db;
	enum fate fate = FATE_NONE;
	int64_t letter;
	int failed = rows_begin(b) || rows_decide(b, r, &fate, &letter);
	if (!failed && (fate == FATE_ORDER || fate == FATE_NAME)) /* else it is decided, or its number has a letter */
		failed = dead_letter_put(b, r->segment, r->sequence, r->raw, fate == FATE_NAME ? REASON_LOST : reason);
	FAULT(drain_buried);
	if (failed || rows_move_cursors(b) || db_commit(db)) {
		batch_failed(b, "dead letter");
		db_rollback(db);
		return -1;
	}
	return 0;
}

static void put_sha1(struct redis_command *c, struct str raw)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned int size = 0;
	if (!EVP_Digest(raw.p, raw.n, digest, &size, EVP_sha1(), NULL))
		abort();
	for (unsigned int i = 0; i < size; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
	redis_put_text(c, hex);
}

int dead_letter_put_garbage(struct batch *b, int segment)
{
	struct redis_command c;
	struct str raw = b->segment[segment].garbage;
	if (dead_letter_put(b, segment, 0, raw, "not an order record"))
		return batch_failed(b, "dead letter");
	FAULT(drain_garbage);
	redis_script(&c, &script_drop, 1);
	key_put(&c, KEY_ORDERS, b->coupon, segment);
	put_sha1(&c, raw);
	return redis_call(b->svc->redis_sync, b->arena, &c, NULL) == REDIS_ANSWER ? 0 : -1;
}
