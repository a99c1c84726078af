#include "waiting/journal.h"

#include "base/clock.h"
#include "base/parse.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "waiting/entry_rows.h"

enum { TURN_MS = 50 };

struct journal_batch {
	struct entry joined[ENTRIES_MOST], left[ENTRIES_MOST];
	int joined_count, left_count;
};

/* "ticket|owner|ms|w" or "ticket|owner|ms|l". False: the text is not a record. */
static bool read_record(struct str raw, struct entry *e, bool *has_left)
{
	struct str ticket, owner, ms, what = raw;
	*e = (struct entry){ .state = ENTRY_WAITS };
	if (!parse_split(&what, '|', &ticket) || !parse_split(&what, '|', &owner) || !parse_split(&what, '|', &ms))
		return false;
	*has_left = str_eq(what, STR("l"));
	return parse_int(ticket, 1, NUMBER_MAX, &e->ticket) && owner_read(owner, &e->owner) &&
	       parse_int(ms, 0, NUMBER_MAX, &e->joined_ms) && (*has_left || str_eq(what, STR("w")));
}

static void read_batch(int64_t coupon, const struct redis_reply *records, struct journal_batch *b)
{
	*b = (struct journal_batch){ 0 };
	for (size_t i = 0; i < redis_count(records) && i < ENTRIES_MOST; i++) {
		struct entry e;
		bool has_left;
		if (!read_record(redis_text_at(records, i), &e, &has_left))
			log_error_limited("waiting_record_unreadable", LOG_INT("coupon", coupon),
					  LOG_STR("record", redis_text_at(records, i)));
		else if (has_left)
			b->left[b->left_count++] = e;
		else
			b->joined[b->joined_count++] = e;
	}
}

/* Whoever left has joined before: the row of a record that was lost is inserted, too. */
static int write_batch(struct service *svc, struct arena *a, int64_t coupon, struct journal_batch *b)
{
	if (b->joined_count && entry_rows_insert(svc, a, coupon, b->joined, b->joined_count))
		return -1;
	if (b->left_count && entry_rows_insert(svc, a, coupon, b->left, b->left_count))
		return -1;
	return entry_rows_set(svc, coupon, b->left, b->left_count, ENTRY_LEFT);
}

static enum status commit_batch(struct service *svc, struct arena *a, int64_t coupon, struct journal_batch *b)
{
	bool exists = false;
	int failed = entry_rows_begin(svc, a, coupon, &exists);
	if (!failed && exists)
		failed = write_batch(svc, a, coupon, b) || db_commit(svc->db);
	if (!failed && exists)
		return STATUS_OK;
	if (failed)
		log_warn_limited("waiting_journal_failed", LOG_INT("coupon", coupon),
				 LOG_TEXT("error", db_error(svc->db)));
	db_rollback(svc->db);
	return failed ? STATUS_UNAVAILABLE : STATUS_NO_SUCH_COUPON;
}

static void trim(struct service *svc, struct arena *a, int64_t coupon, const struct redis_reply *records)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	size_t count = redis_count(records);
	redis_script(&c, &script_journaled, 1);
	key_put(&c, KEY_JOURNAL, coupon, 0);
	redis_put_int(&c, (int64_t)count);
	redis_put(&c, redis_text_at(records, 0));
	redis_put(&c, redis_text_at(records, count - 1));
	(void)redis_call(svc->redis_sync, a, &c, &reply); /* if it fails, the records are moved once more */
}

static enum status move_batch(struct service *svc, struct arena *a, int64_t coupon)
{
	struct redis_command c;
	const struct redis_reply *records = NULL;
	struct journal_batch b;
	redis_command(&c, "LRANGE");
	key_put(&c, KEY_JOURNAL, coupon, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, ENTRIES_MOST - 1);
	if (redis_call(svc->redis_sync, a, &c, &records) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	if (!redis_count(records))
		return STATUS_OK;
	read_batch(coupon, records, &b);
	FAULT(journal_read);
	enum status s = commit_batch(svc, a, coupon, &b);
	if (s != STATUS_OK)
		return s;
	FAULT(journal_committed);
	trim(svc, a, coupon, records);
	return redis_count(records) == ENTRIES_MOST ? STATUS_PENDING : STATUS_OK;
}

enum status waiting_journal_move(struct service *svc, struct arena *a, int64_t coupon)
{
	int64_t began_ms = clock_mono_ms();
	enum status s;
	do {
		s = move_batch(svc, a, coupon);
	} while (s == STATUS_PENDING && clock_mono_ms() - began_ms < TURN_MS);
	return s;
}
