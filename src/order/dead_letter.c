#include "order/dead_letter.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/clock.h"
#include "host/log.h"
#include "order/order_row.h"
#include "sale/coupon.h"
#include "sale/db_status.h"
#include "sale/key.h"

#define COLUMNS                                                                                                        \
	"d.id, d.coupon_id, d.seq, d.segment, d.state, d.at_ms, d.ended_at_ms, d.record, d.reason, d.end_reason, "     \
	"u.name, c.name, c.pay_within_s"

static int read_row(struct db *db, const struct db_value *v, struct dead_letter *d)
{
	int64_t segment, state;
	if (db_int(db, &v[3], 0, SEGMENTS_MAX - 1, &segment) || db_int(db, &v[4], DEAD_OPEN, DEAD_RESOLD, &state))
		return -1;
	*d = (struct dead_letter){ .id = v[0].number,
				   .coupon = v[1].number,
				   .sequence = v[2].number,
				   .segment = (int)segment,
				   .state = (enum dead_letter_state)state,
				   .at_ms = v[5].number,
				   .ended_ms = v[6].number,
				   .record = v[7].text,
				   .reason = v[8].text,
				   .end_reason = v[9].text,
				   .seller_name = v[10].text,
				   .coupon_name = v[11].text,
				   .pay_within_s = v[12].number };
	return 0;
}

enum status dead_letter_list(struct service *svc, struct arena *a, struct dead_letter_page *page)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " COLUMNS " FROM dead_letters d LEFT JOIN coupons c ON c.id = d.coupon_id "
		     "LEFT JOIN users u ON u.id = c.seller_id WHERE d.id > ? AND (d.state = ? OR ?) "
		     "ORDER BY d.id LIMIT ?",
		     &rows, DB_N(page->after), DB_N(DEAD_OPEN), DB_N(page->all), DB_N(page->limit)))
		return db_status(svc->db, "dead letters");
	page->letters = arena_alloc(a, (size_t)(rows.count + 1) * sizeof *page->letters);
	for (page->count = 0; page->count < rows.count; page->count++)
		if (read_row(svc->db, db_row(&rows, page->count), &page->letters[page->count]))
			return db_status(svc->db, "dead letters");
	return STATUS_OK;
}

enum status dead_letter_count(struct service *svc, struct arena *a, int64_t *count)
{
	struct db_rows rows;
	if (db_query_row(svc->db, a, "SELECT COUNT(*) FROM dead_letters WHERE state = ?", &rows, DB_N(DEAD_OPEN)))
		return db_status(svc->db, "dead letters");
	*count = db_row(&rows, 0)->number;
	return STATUS_OK;
}

enum status dead_letter_order(struct service *svc, struct arena *a, const struct order_number *n,
			      struct order_record *record, bool *is_lost)
{
	struct db_rows rows;
	*record = (struct order_record){ .segment = n->segment };
	if (db_query(svc->db, a,
		     "SELECT record, " DEAD_IS_LOST " FROM dead_letters WHERE coupon_id = ? AND segment = ? "
		     "AND seq = ? ORDER BY id LIMIT 1",
		     &rows, DB_N(n->coupon), DB_N(n->segment), DB_N(n->sequence)))
		return db_status(svc->db, "dead letters");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	*is_lost = db_row(&rows, 0)[1].number != 0;
	return order_record_read(db_row(&rows, 0)[0].text, record) || *is_lost ? STATUS_OK : STATUS_NO_SUCH_ORDER;
}

/* Totals */

static bool holds_unit(const struct dead_letter *d)
{
	return d->sequence && !str_eq(d->reason, STR(REASON_LOST_FOUND));
}

/* In a sale with payment the unit of a letter is final: it does not come back by itself. */
static int count_final(struct service *svc, const struct dead_letter *d)
{
	if (!holds_unit(d))
		return 0;
	return db_exec(svc->db, "UPDATE coupons SET final = final + 1, hub_told = 0 WHERE id = ? AND pay_within_s > 0",
		       NULL, DB_N(d->coupon));
}

/* The unit is an order's that may still expire. */
static int count_no_more(struct service *svc, const struct dead_letter *d)
{
	if (!holds_unit(d))
		return 0;
	return db_exec(svc->db,
		       "UPDATE coupons SET final_cancelled = final_cancelled + 1, hub_told = 0 WHERE id = ? AND "
		       "pay_within_s > 0",
		       NULL, DB_N(d->coupon));
}

int dead_letter_bury(struct service *svc, const struct dead_letter *d)
{
	enum { KEPT = 4096 };
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	if (!EVP_Digest(d->record.p, d->record.n, digest, &size, EVP_sha256(), NULL))
		abort();
	struct str kept = { d->record.p, d->record.n > KEPT ? KEPT : d->record.n };
	if (db_exec(svc->db,
		    "INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) "
		    "VALUES (?, ?, ?, ?, ?, ?, ?)",
		    NULL, DB_N(d->coupon), DB_N(d->segment), d->sequence ? DB_N(d->sequence) : DB_NIL, DB_S(kept),
		    DB_S(((struct str){ (char *)digest, size })), DB_S(d->reason), DB_N(clock_ms())))
		return db_failure(svc->db) == DB_DUPLICATE ? 0 : -1;
	if (count_final(svc, d))
		return -1;
	log_error("dead_letter", LOG_INT("coupon", d->coupon), LOG_INT("segment", d->segment), LOG_STR("record", kept),
		  LOG_STR("reason", d->reason));
	return 1;
}

int dead_letter_revive(struct service *svc, struct arena *a, int64_t id)
{
	int64_t changed = 0;
	struct db_rows rows;
	if (db_exec(svc->db,
		    "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = ? WHERE id = ? AND state = ?",
		    &changed, DB_N(DEAD_RETRIED), DB_N(clock_ms()), DB_S(STR("a server came back that has its order")),
		    DB_N(id), DB_N(DEAD_OPEN)))
		return -1;
	if (!changed)
		return 0;
	if (db_query_row(svc->db, a, "SELECT coupon_id, seq, reason FROM dead_letters WHERE id = ?", &rows, DB_N(id)))
		return -1;
	const struct db_value *v = db_row(&rows, 0);
	const struct dead_letter d = { .coupon = v[0].number, .sequence = v[1].number, .reason = v[2].text };
	return count_no_more(svc, &d) ? -1 : 1;
}

/*
 * Reads a letter and locks it, so that only one transaction at a time decides about it. Sets *refusal if the letter
 * does not exist or is not open. 0; -1: the database has failed.
 */
static int lock_letter(struct service *svc, struct arena *a, int64_t id, struct dead_letter *d, const char **refusal)
{
	static const char *const refusals[] = { NULL, "it is an order by now", "it was dropped",
						"its unit was sold again" };
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " COLUMNS " FROM dead_letters d LEFT JOIN coupons c ON c.id = d.coupon_id "
		     "LEFT JOIN users u ON u.id = c.seller_id WHERE d.id = ? FOR UPDATE",
		     &rows, DB_N(id)))
		return -1;
	if (!rows.count) {
		*refusal = "there is no such dead letter";
		return 0;
	}
	if (read_row(svc->db, db_row(&rows, 0), d))
		return -1;
	*refusal = refusals[d->state];
	return 0;
}

static int end_letter(struct service *svc, int64_t id, enum dead_letter_state state, struct db_value reason)
{
	return db_exec(svc->db, "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = ? WHERE id = ?", NULL,
		       DB_N(state), DB_N(clock_ms()), reason, DB_N(id));
}

/*
 * Sets *refusal unless the segment's owners in Redis have this order for the record's customer: only a claim makes one.
 */
static enum status check_owner(struct service *svc, struct arena *a, const struct dead_letter *d,
			       const struct order_record *r, const char **refusal)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "HGET");
	key_put(&c, KEY_OWNERS, d->coupon, d->segment);
	owner_put(&c, order_record_owner(r));
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	if (redis_type(reply) == REDIS_NIL)
		*refusal = arena_printf(a,
					r->unit > 1 ? "its customer has no order of unit %d of this coupon in Redis"
						    : "its customer has no order of this coupon in Redis",
					r->unit);
	else if (redis_number(reply) != r->sequence)
		*refusal = arena_printf(a, "its customer has order %lld-%d-%lld in Redis", (long long)d->coupon,
					d->segment, (long long)redis_number(reply));
	return STATUS_OK;
}

/* 0; -1: MySQL refuses the order, and *refusal is set, or the database has failed. */
static int insert_order(struct service *svc, struct arena *a, const struct dead_letter *d, const struct order_record *r,
			const char **refusal)
{
	bool counted = false;
	int result = order_insert(svc, a, &(struct order_rows){ d->coupon, d->pay_within_s, &r, 1 }) ||
		     order_count_sold(svc, d->coupon, 1, &counted);
	if (!result && !counted)
		*refusal = "MySQL counts as many orders as there are units";
	enum db_failure f = db_failure(svc->db);
	if (result && (f == DB_DUPLICATE || f == DB_DATA))
		*refusal = arena_printf(a, "%.200s", db_error(svc->db));
	return result || !counted ? -1 : 0;
}

enum status dead_letter_retry(struct service *svc, struct arena *a, int64_t id, const char **refusal)
{
	struct dead_letter d = { 0 };
	struct order_record r = { 0 };
	enum status s = STATUS_OK;
	*refusal = NULL;
	int failed = db_begin(svc->db) || lock_letter(svc, a, id, &d, refusal);
	r.segment = d.segment;
	if (!failed && !*refusal && (!order_record_read(d.record, &r) || r.sequence != d.sequence))
		*refusal = "its record is not an order";
	if (!failed && !*refusal && !r.user)
		*refusal = "it names a lost order, and its customer is not known";
	if (!failed && !*refusal)
		s = check_owner(svc, a, &d, &r, refusal);
	if (!failed && !*refusal && s == STATUS_OK)
		failed = end_letter(svc, id, DEAD_RETRIED, DB_NIL) || insert_order(svc, a, &d, &r, refusal) ||
			 count_no_more(svc, &d) || db_commit(svc->db);
	if (failed && !*refusal)
		s = db_status(svc->db, "dead letter");
	db_rollback(svc->db);
	return s;
}

enum status dead_letter_drop(struct service *svc, struct arena *a, int64_t id, struct str reason, const char **refusal)
{
	struct dead_letter d = { 0 };
	*refusal = NULL;
	int failed = db_begin(svc->db) || lock_letter(svc, a, id, &d, refusal);
	if (!failed && !*refusal)
		failed = end_letter(svc, id, DEAD_DROPPED, DB_S(reason)) || db_commit(svc->db);
	enum status s = failed ? db_status(svc->db, "dead letter") : STATUS_OK;
	db_rollback(svc->db);
	return s;
}
