/*
 * Restores the owners of a segment that has sold units and has no owner at all, which happens if servers die while a
 * hash slot is moved key by key. Without owners, its customers could claim a second unit. Owners of orders in MySQL and
 * on the segment's list are entered with HSETNX, which replaces no entry, so it may run beside claims. Orders that are
 * over and lost orders have no owner.
 */
#include "host/log.h"
#include "inspect/inspection.h"
#include "order/dead_letter.h"
#include "order/known.h"
#include "sale/db_status.h"
#include "sale/order_record.h"

enum { PAGE = 1000 };

static void on_entered(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct inspection *in = context;
	(void)reply;
	if (outcome != REDIS_ANSWER)
		in->status = STATUS_UNAVAILABLE;
}

static void enter_owner(struct inspection *in, int i, struct owner owner, int64_t number)
{
	struct redis_command c;
	redis_command(&c, "HSETNX");
	key_put(&c, KEY_OWNERS, in->coupon.id, i);
	owner_put(&c, owner);
	redis_put_int(&c, number);
	redis_send(in->svc->redis_sync, &c, on_entered, in);
}

/* Counts the segment's order numbers that hold a unit and have no owner. */
static int count_without_owner(struct inspection *in, int i, int64_t *count)
{
	struct db_rows rows;
	if (db_query_row(
		    in->svc->db, in->arena,
		    "SELECT (SELECT COUNT(*) FROM orders WHERE coupon_id = ? AND segment = ? AND live_user IS NULL), "
		    "(SELECT COUNT(*) FROM dead_letters WHERE coupon_id = ? AND segment = ? AND " DEAD_LETTER_HOLDS_UNIT
		    ")",
		    &rows, DB_N(in->coupon.id), DB_N(i), DB_N(in->coupon.id), DB_N(i)))
		return -1;
	*count = db_row(&rows, 0)[0].number + db_row(&rows, 0)[1].number;
	return 0;
}

/* Enters owners of rows up to the segment's last number. inspection_mend enters later ones and counts their units. */
static int enter_rows(struct inspection *in, struct arena *a, int i)
{
	struct db_rows rows;
	int64_t after = 0, last = in->segments[i].now.last;
	do {
		arena_reset(a);
		if (db_query(
			    in->svc->db, a,
			    "SELECT seq, user_id, unit FROM orders WHERE coupon_id = ? AND segment = ? AND seq > ? AND seq <= ? "
			    "AND live_user IS NOT NULL ORDER BY seq LIMIT ?",
			    &rows, DB_N(in->coupon.id), DB_N(i), DB_N(after), DB_N(last), DB_N(PAGE)))
			return -1;
		for (int k = 0; k < rows.count; k++) {
			const struct db_value *v = db_row(&rows, k);
			after = v[0].number;
			enter_owner(in, i, (struct owner){ v[1].number, (int)v[2].number }, after);
		}
		redis_wait_all(in->svc->redis_sync);
	} while (rows.count == PAGE);
	return 0;
}

/* Skips orders of the list that have a row: enter_rows has entered their owners, or they are over. */
static int enter_page(struct inspection *in, struct arena *a, int i, const struct redis_reply *page)
{
	struct known known[PAGE] = { 0 };
	struct owner owners[PAGE];
	int n = 0;
	for (size_t k = 0; k < redis_count(page) && n < PAGE; k++) {
		struct order_record r = { .segment = i };
		if (!order_record_read(redis_text_at(page, k), &r) || !r.user)
			continue;
		owners[n] = order_record_owner(&r);
		known[n++].number = r.sequence;
	}
	struct known_numbers numbers = { .coupon = in->coupon.id, .segment = i, .at = known, .count = n };
	if (known_read(in->svc, a, &numbers))
		return -1;
	for (int k = 0; k < n; k++)
		if (!known[k].user)
			enter_owner(in, i, owners[k], known[k].number);
	redis_wait_all(in->svc->redis_sync);
	return 0;
}

static int enter_list(struct inspection *in, struct arena *a, int i)
{
	const struct redis_reply *page = NULL;
	for (int64_t from = 0; !page || redis_count(page) == PAGE; from += PAGE) {
		struct redis_command c;
		arena_reset(a);
		redis_command(&c, "LRANGE");
		key_put(&c, KEY_ORDERS, in->coupon.id, i);
		redis_put_int(&c, from);
		redis_put_int(&c, from + PAGE - 1);
		if (redis_call(in->svc->redis_sync, a, &c, &page) != REDIS_ANSWER)
			in->status = STATUS_UNAVAILABLE;
		if (enter_page(in, a, i, page))
			return -1;
	}
	return 0;
}

static void restore_owners(struct inspection *in, int i)
{
	const struct slot *s = &in->segments[i];
	struct arena a = { 0 };
	int64_t without = 0;
	bool failed = count_without_owner(in, i, &without);
	if (!failed && s->now.sold > without) {
		log_error("owners_lost", LOG_INT("coupon", in->coupon.id), LOG_INT("segment", i),
			  LOG_INT("sold", s->now.sold));
		failed = enter_rows(in, &a, i) || enter_list(in, &a, i);
	}
	if (failed)
		in->status = db_status(in->svc->db, "inspect");
	arena_release(&a);
}

void inspection_restore_owners(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments && in->status == STATUS_OK; i++)
		if (slot_to_open(&in->segments[i]) && in->segments[i].has_no_owner && in->segments[i].now.sold > 0)
			restore_owners(in, i);
}
