#include "waiting/relist.h"

#include "base/buf.h"
#include "base/clock.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "waiting/entry_rows.h"
#include "waiting/journal.h"

struct relist {
	struct service *svc;
	struct arena *a; /* of one page of entries */
	const struct coupon *coupon;
	int64_t waits; /* as the hub had it when this began */
	int64_t put_back, removed;
	bool is_partial; /* a home did not answer */
};

/* A call of relist.lua for entries "what owner ticket ...". NULL: what failed is in *s. */
static const struct redis_reply *call(struct relist *r, struct str entries, int64_t whole, enum status *s)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_script(&c, &script_relist, 2);
	key_put(&c, KEY_HUB, r->coupon->id, 0);
	key_put(&c, KEY_WAITING, r->coupon->id, 0);
	fence_put(&c, r->coupon->generation);
	if (whole)
		redis_put_int(&c, whole);
	else
		redis_put_text(&c, "");
	redis_put(&c, entries);
	*s = STATUS_OK;
	if (redis_call(r->svc->redis_sync, r->a, &c, &reply) != REDIS_ANSWER)
		*s = STATUS_UNAVAILABLE;
	else if (str_eq(redis_text_at(reply, 0), STR("NOLIST")))
		*s = STATUS_NO_SUCH_COUPON;
	else if (!str_eq(redis_text_at(reply, 0), STR("OK")))
		*s = STATUS_BUSY;
	return *s == STATUS_OK ? reply : NULL;
}

static void put_entry(struct buf *to, char what, const struct entry *e)
{
	char owner[OWNER_TEXT];
	buf_printf(to, "%s%c ", to->n ? " " : "", what);
	buf_put(to, owner_text(owner, e->owner));
	buf_printf(to, " %lld", (long long)e->ticket);
}

/* Entries of MySQL that the list lacks */

enum { ENTRY_FREE, ENTRY_ORDERED, ENTRY_USED };

/*
 * ENTRY_FREE: the owner has no order. ENTRY_ORDERED: has one, which may be lost yet. ENTRY_USED: has one that MySQL
 * has, or a tombstone. -1: the segment or MySQL does not answer; *is_away tells which.
 */
static int look_for_order(struct relist *r, const struct entry *e, bool *is_away)
{
	struct redis_command c;
	struct db_rows rows;
	const struct redis_reply *reply = NULL;
	int home = coupon_home(r->coupon, e->owner.user);
	redis_command(&c, "HGET");
	key_put(&c, KEY_OWNERS, r->coupon->id, home);
	owner_put(&c, e->owner);
	*is_away = redis_call(r->svc->redis_sync, r->a, &c, &reply) != REDIS_ANSWER;
	if (*is_away)
		return -1;
	if (redis_type(reply) == REDIS_NIL)
		return ENTRY_FREE;
	int64_t number = redis_number(reply);
	if (number < 0)
		return ENTRY_USED;
	if (db_query(r->svc->db, r->a, "SELECT 1 FROM orders WHERE coupon_id = ? AND segment = ? AND seq = ?", &rows,
		     DB_N(r->coupon->id), DB_N(home), DB_N(number)))
		return -1;
	return rows.count ? ENTRY_USED : ENTRY_ORDERED;
}

static int keep_absent(const struct redis_reply *reply, struct entry *entries, int count)
{
	int n = 0;
	for (int i = 0; i < count; i++)
		for (size_t k = 3; k < redis_count(reply); k++)
			if (redis_number_at(reply, k) == entries[i].ticket) {
				entries[n++] = entries[i];
				break;
			}
	return n;
}

/*
 * An entry that neither waits nor is promoted, whose owner has no order, and that still waits by MySQL when it is asked
 * after that. Nobody can be promoted meanwhile who is not on the list; and an owner is released after MySQL has the
 * order, which marks the entry.
 */
static int keep_lost(struct relist *r, struct entry *entries, int count)
{
	struct entry used[ENTRIES_MOST];
	int n = 0, m = 0, used_count = 0;
	for (int i = 0; i < count; i++) {
		bool is_away;
		int found = look_for_order(r, &entries[i], &is_away);
		if (found < 0 && !is_away)
			return -1;
		r->is_partial |= is_away;
		if (found == ENTRY_USED)
			used[used_count++] = entries[i];
		else if (found == ENTRY_FREE)
			entries[n++] = entries[i];
	}
	if (entry_rows_set(r->svc, r->coupon->id, used, used_count, ENTRY_PROMOTED))
		return -1;
	if (n && entry_rows_read(r->svc, r->a, r->coupon->id, entries, n))
		return -1;
	for (int i = 0; i < n; i++)
		if (entries[i].state == ENTRY_WAITS)
			entries[m++] = entries[i];
	return m;
}

static enum status put_back(struct relist *r, struct entry *entries, int count)
{
	struct buf text;
	enum status s;
	buf_init(&text, r->a);
	for (int i = 0; i < count; i++)
		put_entry(&text, '?', &entries[i]);
	const struct redis_reply *reply = call(r, buf_str(&text), 0, &s);
	if (!reply)
		return s;
	count = keep_lost(r, entries, keep_absent(reply, entries, count));
	if (count <= 0)
		return count ? STATUS_UNAVAILABLE : STATUS_OK;
	buf_init(&text, r->a);
	for (int i = 0; i < count; i++)
		put_entry(&text, '+', &entries[i]);
	call(r, buf_str(&text), 0, &s);
	r->put_back += count;
	return s;
}

static enum status put_all_back(struct relist *r)
{
	struct entry entries[ENTRIES_MOST];
	int64_t after = 0;
	for (;;) {
		arena_reset(r->a);
		int count = entry_rows_waiting(r->svc, r->a, r->coupon->id, after, entries);
		if (count <= 0)
			return count ? STATUS_UNAVAILABLE : STATUS_OK;
		after = entries[count - 1].ticket;
		enum status s = put_back(r, entries, count);
		if (s != STATUS_OK)
			return s;
	}
}

/* Entries of the list that MySQL does not have, or knows to be over */

static int read_page(struct relist *r, int64_t from, struct entry *entries)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	int n = 0;
	redis_command(&c, "ZRANGE");
	key_put(&c, KEY_WAITING, r->coupon->id, 0);
	redis_put_int(&c, from);
	redis_put_int(&c, from + ENTRIES_MOST - 1);
	redis_put_text(&c, "WITHSCORES");
	if (redis_call(r->svc->redis_sync, r->a, &c, &reply) != REDIS_ANSWER)
		return -1;
	for (size_t i = 0; i + 1 < redis_count(reply); i += 2) {
		struct entry e = { .joined_ms = clock_ms() };
		if (owner_read(redis_text_at(reply, i), &e.owner) &&
		    parse_int(redis_text_at(reply, i + 1), 1, NUMBER_MAX, &e.ticket))
			entries[n++] = e;
		else
			log_error_limited("waiting_entry_unreadable", LOG_INT("coupon", r->coupon->id));
	}
	return n;
}

static enum status insert_missing(struct relist *r, struct entry *entries, int count)
{
	bool exists = false;
	int failed = entry_rows_begin(r->svc, r->a, r->coupon->id, &exists);
	if (!failed && exists)
		failed = entry_rows_insert(r->svc, r->a, r->coupon->id, entries, count) || db_commit(r->svc->db);
	if (failed || !exists)
		db_rollback(r->svc->db);
	return failed ? STATUS_UNAVAILABLE : exists ? STATUS_OK : STATUS_NO_SUCH_COUPON;
}

static enum status remove_over(struct relist *r, const struct entry *entries, int count, int *removed)
{
	struct buf text;
	enum status s = STATUS_OK;
	*removed = 0;
	buf_init(&text, r->a);
	for (int i = 0; i < count; i++)
		if (entries[i].state != ENTRY_WAITS && entries[i].state != ENTRY_UNKNOWN) {
			put_entry(&text, '-', &entries[i]);
			++*removed;
		}
	if (*removed)
		call(r, buf_str(&text), 0, &s);
	r->removed += *removed;
	return s;
}

static enum status compare_list(struct relist *r)
{
	struct entry entries[ENTRIES_MOST];
	for (int64_t from = 0;;) {
		arena_reset(r->a);
		int removed, count = read_page(r, from, entries);
		if (count <= 0)
			return count ? STATUS_UNAVAILABLE : STATUS_OK;
		enum status s = insert_missing(r, entries, count);
		if (s == STATUS_OK && entry_rows_read(r->svc, r->a, r->coupon->id, entries, count))
			s = STATUS_UNAVAILABLE;
		if (s == STATUS_OK)
			s = remove_over(r, entries, count, &removed);
		if (s != STATUS_OK)
			return s;
		from += count - removed;
	}
}

static enum status begin(struct relist *r)
{
	enum status s;
	const struct redis_reply *reply = call(r, STR(""), 0, &s);
	r->waits = reply ? redis_number_at(reply, 1) : 0;
	return s;
}

static enum status finish(struct relist *r)
{
	enum status s;
	FAULT(relist_compared);
	const struct redis_reply *reply = r->is_partial ? NULL : call(r, STR(""), r->waits, &s);
	if (r->is_partial)
		return STATUS_PENDING;
	if (!reply)
		return s;
	if (r->put_back || r->removed)
		log_info("waiting_list_completed", LOG_INT("coupon", r->coupon->id), LOG_INT("put_back", r->put_back),
			 LOG_INT("removed", r->removed));
	return redis_number_at(reply, 1) == 1 ? STATUS_OK : STATUS_PENDING;
}

enum status waiting_relist(struct service *svc, struct arena *a, const struct coupon *c)
{
	struct arena page = { 0 };
	struct relist r = { .svc = svc, .a = &page, .coupon = c };
	enum status s = begin(&r);
	if (s == STATUS_OK && r.waits != 1) {
		s = waiting_journal_move(svc, a, c->id);
		if (s == STATUS_OK)
			s = put_all_back(&r);
		if (s == STATUS_OK)
			s = compare_list(&r);
		if (s == STATUS_OK)
			s = finish(&r);
	}
	arena_release(&page);
	return s;
}
