#include "drain/move.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/stray.h"
#include "catalog/supply.h"
#include "drain/after_commit.h"
#include "drain/transaction.h"
#include "host/fault.h"
#include "order/dead_letter.h"
#include "sale/key.h"
#include "sale/scripts.h"

/* A record that cannot be read, at the head of a list */

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

/* The dead letter is written before the record is removed, so that no crash in between loses the record. */
static int bury_garbage(struct batch *b, int segment)
{
	struct redis_command c;
	const struct dead_letter letter = { .coupon = b->coupon,
					    .segment = segment,
					    .record = b->segment[segment].garbage,
					    .reason = STR("not an order record") };
	int entered = dead_letter_bury(b->svc, &letter);
	if (entered < 0)
		return batch_failed(b, "dead letter");
	b->dead += entered;
	FAULT(drain_garbage);
	redis_script(&c, &script_drop, 1);
	key_put(&c, KEY_ORDERS, b->coupon, segment);
	put_sha1(&c, letter.record);
	return redis_call(b->svc->redis_sync, b->arena, &c, NULL) == REDIS_ANSWER ? 0 : -1;
}

static int bury_all_garbage(struct batch *b)
{
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].garbage.p && bury_garbage(b, i))
			return -1;
	return 0;
}

/* One by one */

static int commit_or_bury(struct batch *b, const struct order_record *r)
{
	const char *reason = "more orders than units";
	enum transaction_end end = transaction_move(b, r, 1);
	if (end == TRANSACTION_COMMITTED)
		return 0;
	if (end == TRANSACTION_FAILED)
		return -1;
	FAULT(drain_refused);
	if (end == TRANSACTION_REFUSED)
		reason = arena_printf(b->arena, "%.200s", db_error(b->svc->db));
	return transaction_bury(b, r, reason);
}

/* After an order that cannot be moved now, the other records of its segment wait, too. */
static int commit_each(struct batch *b)
{
	bool *stopped = arena_alloc(b->arena, (size_t)b->segments * sizeof *stopped);
	for (int i = 0; i < b->count; i++) {
		const struct order_record *r = &b->records[i];
		if (stopped[r->segment])
			continue;
		if (commit_or_bury(b, r))
			return -1;
		stopped[r->segment] = b->segment[r->segment].skip;
	}
	return 0;
}

/* The whole batch */

static int close_stray(struct batch *b)
{
	struct stray s;
	if (stray_read(b->svc, b->arena, b->coupon, &s) != STATUS_OK)
		return -1;
	s.segments = b->segments;
	return stray_close(b->svc, b->arena, &s) == STATUS_OK ? 0 : -1;
}

/*
 * MySQL may count too few units because units that were added are only in the hub: supply_redo adds them to MySQL
 * before an order is refused. Nothing is done about the opening, because workers open the sale. A coupon with orders
 * that is not published in MySQL needs a recovery.
 */
static int commit_oversold(struct batch *b)
{
	struct supply_opening opening;
	enum status s = supply_redo(b->svc, b->arena, b->coupon, &opening);
	if (s == STATUS_NO_SUCH_COUPON) {
		b->coupon_exists = false;
		return transaction_find_coupon(b) ? -1 : batch_failed(b, "a coupon that is not published");
	}
	if (s == STATUS_BUSY)
		return batch_failed(b, "a coupon whose orders MySQL knows less of than the hub");
	if (s == STATUS_UNAVAILABLE || s == STATUS_INTERNAL)
		return -1;
	enum transaction_end end = transaction_move(b, b->records, b->count);
	if (end == TRANSACTION_REFUSED || end == TRANSACTION_OVERSOLD)
		return commit_each(b);
	return end == TRANSACTION_COMMITTED ? 0 : -1;
}

static int commit_all(struct batch *b)
{
	int result = -1;
	enum transaction_end end = transaction_move(b, b->records, b->count);
	if (end == TRANSACTION_COMMITTED)
		result = 0;
	else if (end == TRANSACTION_REFUSED)
		result = commit_each(b);
	else if (end == TRANSACTION_OVERSOLD)
		result = commit_oversold(b);
	return b->stray ? close_stray(b) : result;
}

int batch_move(struct batch *b)
{
	batch_read(b);
	if (bury_all_garbage(b))
		return -1;
	FAULT(drain_peeked);
	if (!b->count)
		return 0;
	int result = commit_all(b);
	if (b->replaced)
		worklist_inspect(b->svc->redis_sync, b->coupon, b->segments);
	redis_wait_all(b->svc->redis_sync);
	if (!b->stray)
		after_commit(b);
	redis_wait_all(b->svc->redis_sync);
	return result ? -1 : b->committed;
}
