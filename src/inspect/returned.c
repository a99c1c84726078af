/*
 * A segment whose server lost writes may have owners again whose orders are over. So these orders are entered in
 * returned_orders once more, before the segment is opened, and the drainers remove their owners once more. A server
 * that lost nothing has as many owners as follow from MySQL; then nothing is entered.
 */
#include "inspect/inspection.h"
#include "order/dead_letter.h"
#include "sale/db_status.h"

enum { PAGE = 1000 };

/* How many of the units that the segment sold have no owner, by MySQL: at least those of orders that are done with. */
static int count_without_owner(struct inspection *in, int i, int64_t *count)
{
	struct db_rows rows;
	const struct db_value coupon = DB_N(in->coupon.id), segment = DB_N(i);
	if (db_query_row(
		    in->svc->db, in->arena,
		    "SELECT (SELECT COUNT(*) FROM orders WHERE coupon_id = ? AND segment = ? AND status IN (3, 4)) - "
		    "(SELECT COUNT(*) FROM returned_orders WHERE coupon_id = ? AND segment = ?) + "
		    "(SELECT COUNT(DISTINCT seq) FROM dead_letters WHERE coupon_id = ? AND segment = ? AND reason = ? AND " DEAD_LETTER_HOLDS_UNIT
		    ")",
		    &rows, coupon, segment, coupon, segment, coupon, segment, DB_S(STR(REASON_LOST))))
		return -1;
	*count = db_row(&rows, 0)->number;
	return 0;
}

/* The last number of the next page of orders that are over; 0: there are no more. */
static int find_page(struct inspection *in, struct arena *a, int i, int64_t after, int64_t *last)
{
	struct db_rows rows;
	if (db_query_row(
		    in->svc->db, a,
		    "SELECT COALESCE(MAX(seq), 0) FROM (SELECT seq FROM orders WHERE coupon_id = ? AND segment = ? AND "
		    "status IN (3, 4) AND seq > ? ORDER BY seq LIMIT ?) page",
		    &rows, DB_N(in->coupon.id), DB_N(i), DB_N(after), DB_N(PAGE)))
		return -1;
	*last = db_row(&rows, 0)->number;
	return 0;
}

static int enter_page(struct inspection *in, int i, int64_t after, int64_t last)
{
	return db_exec(
		in->svc->db,
		"INSERT INTO returned_orders (coupon_id, segment, seq, user_id, unit) SELECT coupon_id, segment, seq, user_id, unit "
		"FROM orders o WHERE coupon_id = ? AND segment = ? AND seq > ? AND seq <= ? AND status IN (3, 4) AND NOT "
		"EXISTS (SELECT 1 FROM returned_orders r WHERE r.coupon_id = o.coupon_id AND r.segment = o.segment AND "
		"r.seq = o.seq)",
		NULL, DB_N(in->coupon.id), DB_N(i), DB_N(after), DB_N(last));
}

static int enter_all(struct inspection *in, int i)
{
	struct arena a = { 0 };
	int64_t after = 0, last = 0;
	int failed;
	do {
		arena_reset(&a);
		after = last;
		failed = find_page(in, &a, i, after, &last);
		if (!failed && last)
			failed = enter_page(in, i, after, last);
	} while (!failed && last);
	arena_release(&a);
	return failed;
}

static void return_orders(struct inspection *in, struct slot *s, int i)
{
	int64_t without = 0;
	if (in->status != STATUS_OK)
		return;
	int failed = count_without_owner(in, i, &without);
	if (!failed && s->now.sold - s->owners < without)
		failed = enter_all(in, i);
	if (failed)
		in->status = db_status(in->svc->db, "inspect");
}

void inspection_return_orders(struct inspection *in)
{
	if (in->over)
		inspection_each(in, return_orders);
}
