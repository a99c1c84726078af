/* Reads MySQL first: values that are compared with MySQL only grow, so those that are read later are not lower. */
#include "audit/audit.h"

#include <unistd.h>

#include "audit/entries.h"
#include "audit/orders.h"
#include "audit/units.h"
#include "audit/waiting.h"
#include "base/parse.h"
#include "catalog/coupon_row.h"
#include "order/dead_letter.h"
#include "sale/db_status.h"

enum { PAUSE_US = 300000, INSPECTION_PAUSES = 10 };

enum status audit_find(struct service *svc, struct arena *a, const char *name, int64_t **ids, int *count)
{
	struct db_rows rows;
	struct str rest = str_of(name), seller = { 0 };
	if (name)
		parse_split(&rest, '/', &seller);
	int failed = name ? db_query(svc->db, a,
				     "SELECT c.id FROM coupons c JOIN users u ON u.id = c.seller_id "
				     "WHERE u.name = ? AND c.name = ?",
				     &rows, DB_S(seller), DB_S(rest))
			  : db_query(svc->db, a, "SELECT id FROM coupons ORDER BY id", &rows);
	if (failed)
		return db_status(svc->db, "audit");
	*ids = arena_alloc(a, (size_t)(rows.count + 1) * sizeof **ids);
	for (*count = 0; *count < rows.count; (*count)++)
		(*ids)[*count] = db_row(&rows, *count)->number;
	return name && !rows.count ? STATUS_NO_SUCH_COUPON : STATUS_OK;
}

void audit_release(struct audit *a)
{
	findings_release(&a->findings);
}

/* MySQL */

/* What read_coupon reads besides the coupon. */
#define COUNT_ORDERS(which) "(SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND " which ")"
#define COUNTS(X)                                                                                                      \
	X(SOLD, "c.sold")                                                                                              \
	X(CANCELLED, "c.cancelled")                                                                                    \
	X(WITHDRAWN, "c.withdrawn")                                                                                    \
	X(FINAL, "c.final")                                                                                            \
	X(FINAL_CANCELLED, "c.final_cancelled")                                                                        \
	X(TOLD, "c.hub_told")                                                                                          \
	X(PENDING, COUNT_ORDERS("status = 1"))                                                                         \
	X(PAID, COUNT_ORDERS("status = 2"))                                                                            \
	X(CONFIRMED, COUNT_ORDERS("status = 5"))                                                                       \
	X(OVER, COUNT_ORDERS("status IN (3, 4)"))                                                                      \
	X(STRAY, COUNT_ORDERS("segment >= c.segments"))                                                                \
	X(HELD,                                                                                                        \
	  "(SELECT COUNT(DISTINCT segment, seq) FROM dead_letters WHERE coupon_id = c.id AND " DEAD_LETTER_HOLDS_UNIT  \
	  ")")                                                                                                         \
	X(UNPAID, "(SELECT COUNT(*) FROM unpaid_orders n WHERE n.coupon_id = c.id)")
#define COUNT_NAME(name, sql) name,
#define COUNT_SQL(name, sql)  ", " sql

enum { COUNTS(COUNT_NAME) };

/* What the tables of MySQL say of each other. */
static void judge_counts(const struct db_value *v, const struct audit *a, struct findings *f)
{
	int64_t final = v[PAID].number + v[CONFIRMED].number + v[HELD].number;
	findings_expect_equal(f, FINDING_SOLD_COUNT, 0, a->counted, a->rows);
	findings_expect_equal(f, FINDING_CANCELLED_COUNT, 0, a->cancelled, v[OVER].number);
	findings_expect_equal(f, FINDING_FINAL_COUNT, 0, v[FINAL].number - v[FINAL_CANCELLED].number,
			      a->coupon.pay_within_s ? final : 0);
	findings_expect_at_most(f, FINDING_OVERSOLD, 0, a->rows, a->coupon.amount - a->withdrawn);
	findings_expect_equal(f, FINDING_STRAY_ROWS, 0, v[STRAY].number, 0);
}

/* Rows of unpaid_orders that stand for no order; at most SOME. */
static enum status find_awaited(struct service *svc, struct arena *a, struct audit *out)
{
	enum { SOME = 500 };
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT n.segment, n.seq, n.pay_by_ms FROM unpaid_orders n LEFT JOIN orders o ON "
		     "o.coupon_id = n.coupon_id AND o.segment = n.segment AND o.seq = n.seq AND o.status = 1 AND "
		     "o.pay_by_ms = n.pay_by_ms WHERE n.coupon_id = ? AND o.seq IS NULL LIMIT ?",
		     &rows, DB_N(out->coupon.id), DB_N(SOME)))
		return db_status(svc->db, "audit");
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		findings_add(&out->findings, (struct finding){ .kind = FINDING_AWAITED,
							       .segment = (int)v[0].number,
							       .sequence = v[1].number,
							       .is = v[2].number });
	}
	return STATUS_OK;
}

/* Refunds that do not fit their payments; of at most SOME orders. */
static enum status find_wrong_refunds(struct service *svc, struct arena *a, struct audit *out)
{
	enum { SOME = 500 };
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT segment, seq, COUNT(*) FROM (SELECT p.segment, p.seq FROM payments p JOIN refunds r ON "
		     "r.payment_id = p.payment_id WHERE p.coupon_id = ? GROUP BY p.payment_id, p.segment, p.seq, "
		     "p.amount, p.currency HAVING SUM(r.amount) > p.amount OR SUM(r.currency <> p.currency) > 0) wrong "
		     "GROUP BY segment, seq LIMIT ?",
		     &rows, DB_N(out->coupon.id), DB_N(SOME)))
		return db_status(svc->db, "audit");
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		findings_add(&out->findings, (struct finding){ .kind = FINDING_WRONG_REFUND,
							       .segment = (int)v[0].number,
							       .sequence = v[1].number,
							       .is = v[2].number });
	}
	return STATUS_OK;
}

/* Uses one statement, so that all counts are of the same moment. */
static enum status read_coupon(struct service *svc, struct arena *a, int64_t id, struct audit *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " COUPON_COLUMNS COUNTS(
			     COUNT_SQL) " FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(id)))
		return db_status(svc->db, "audit");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	const struct db_value *row = db_row(&rows, 0), *v = row + COUPON_COLUMN_COUNT;
	if (coupon_row_read(svc->db, &out->coupon, row, &out->published))
		return db_status(svc->db, "audit");
	out->archived = coupon_row_is_archived(row);
	out->counted = v[SOLD].number;
	out->cancelled = v[CANCELLED].number;
	out->withdrawn = v[WITHDRAWN].number;
	out->rows = v[PENDING].number + v[PAID].number + v[CONFIRMED].number;
	out->unpaid = v[UNPAID].number;
	out->totals = (struct audit_totals){ v[CANCELLED].number, v[FINAL].number, v[FINAL_CANCELLED].number,
					     v[TOLD].number != 0 };
	out->segments = arena_alloc(a, (size_t)out->coupon.segments * sizeof *out->segments);
	judge_counts(v, out, &out->findings);
	return out->unpaid == v[PENDING].number ? STATUS_OK : find_awaited(svc, a, out);
}

static enum status read_dead_letters(struct service *svc, struct arena *a, struct audit *out)
{
	struct db_rows rows;
	if (db_query_row(svc->db, a, "SELECT SUM(state = ?), SUM(state = ?) FROM dead_letters WHERE coupon_id = ?",
			 &rows, DB_N(DEAD_OPEN), DB_N(DEAD_DROPPED), DB_N(out->coupon.id)))
		return db_status(svc->db, "audit");
	out->dead = db_row(&rows, 0)[0].number;
	out->dropped = db_row(&rows, 0)[1].number;
	return STATUS_OK;
}

static enum status read_cursors(struct service *svc, struct arena *a, struct audit *out)
{
	struct cursor *cursors = arena_alloc(a, (size_t)out->coupon.segments * sizeof *cursors);
	enum status s = cursors_read(svc, a, out->coupon.id, out->coupon.segments, cursors);
	for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++)
		out->segments[i].cursor = cursors[i];
	return s;
}

/* At the hub a total is at least what it was told, and at most what MySQL has after Redis was read. */
static void judge_total(struct audit *out, enum finding_kind kind, int64_t hub, int64_t before, int64_t after)
{
	if (out->totals.told && hub < before)
		findings_expect_equal(&out->findings, kind, 0, hub, before);
	findings_expect_at_most(&out->findings, kind, 0, hub, after);
}

static enum status judge_totals(struct service *svc, struct arena *a, struct audit *out)
{
	struct db_rows rows;
	const struct audit_totals *hub = &out->told, *before = &out->totals;
	if (db_query_row(svc->db, a, "SELECT cancelled, final, final_cancelled FROM coupons WHERE id = ?", &rows,
			 DB_N(out->coupon.id)))
		return db_status(svc->db, "audit");
	const struct db_value *v = db_row(&rows, 0);
	judge_total(out, FINDING_CANCELLED, hub->cancelled, before->cancelled, v[0].number);
	judge_total(out, FINDING_FINAL, hub->final, before->final, v[1].number);
	judge_total(out, FINDING_FINAL_CANCELLED, hub->final_cancelled, before->final_cancelled, v[2].number);
	if (before->told)
		findings_expect_equal(&out->findings, FINDING_PAYS, 0, out->pays, out->coupon.pay_within_s > 0);
	return STATUS_OK;
}

enum status audit_read(struct service *svc, struct arena *a, int64_t coupon, struct audit *out)
{
	*out = (struct audit){ 0 };
	enum status s = read_coupon(svc, a, coupon, out);
	if (s == STATUS_OK)
		s = read_dead_letters(svc, a, out);
	if (s == STATUS_OK)
		s = read_cursors(svc, a, out);
	if (s != STATUS_OK || !out->published || out->archived)
		return s;
	s = audit_units(svc, a, out);
	return s == STATUS_OK ? judge_totals(svc, a, out) : s;
}

/* Everything */

static bool is_in_no_place(const struct finding *f)
{
	return f->kind == FINDING_NO_TRACE || f->kind == FINDING_LOST_NUMBER;
}

/*
 * Removes the findings of numbers in no place, if there are no more of them than numbers that a recovery of layout 1
 * has skipped; such a recovery put their units on sale again.
 */
static void remove_skipped(struct audit *out)
{
	struct findings *f = &out->findings;
	int kept = 0, skipped = 0;
	for (int i = 0; i < f->count; i++)
		skipped += is_in_no_place(&f->at[i]);
	if (f->more || skipped > out->skipped)
		return;
	for (int i = 0; i < f->count; i++)
		if (!is_in_no_place(&f->at[i]))
			f->at[kept++] = f->at[i];
	f->count = kept;
}

/* Redis has nothing of it any more. What nobody has bought counts as left. */
static enum status audit_archived(struct service *svc, struct arena *a, struct audit *out)
{
	out->amount = out->coupon.amount;
	out->sold = out->rows + out->cancelled + out->dead + out->dropped;
	out->left = out->amount + out->cancelled - out->withdrawn - out->sold;
	return find_wrong_refunds(svc, a, out);
}

static enum status audit_once(struct service *svc, struct arena *a, int64_t coupon, const struct audit_options *options,
			      struct audit *out)
{
	enum status s = audit_read(svc, a, coupon, out);
	if (s != STATUS_OK || !out->published)
		return s;
	if (out->archived)
		return audit_archived(svc, a, out);
	out->lists = options->lists;
	s = audit_entries(svc, a, out);
	if (s == STATUS_OK)
		s = audit_waiting(svc, a, out);
	if (s == STATUS_OK)
		s = find_wrong_refunds(svc, a, out);
	for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++)
		s = audit_orders(svc, out, i, options);
	remove_skipped(out);
	return s;
}

/*
 * Hub and segments may have different totals until the inspection after a failover has ended, which takes a second or
 * two. An inspection will not repair what is still wrong after this wait.
 */
static enum status wait_for_inspection(struct service *svc, int64_t coupon, bool suspect)
{
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && suspect && i < INSPECTION_PAUSES; i++) {
		struct arena a = { 0 };
		struct audit now;
		usleep(PAUSE_US);
		s = audit_read(svc, &a, coupon, &now);
		suspect = now.suspect;
		audit_release(&now);
		arena_release(&a);
	}
	return s;
}

enum status audit_run(struct service *svc, struct arena *a, int64_t coupon, const struct audit_options *options,
		      struct audit *out)
{
	enum status s = audit_once(svc, a, coupon, options, out);
	if (s != STATUS_OK || !out->findings.count)
		return s;
	struct findings first = out->findings;
	usleep(PAUSE_US);
	s = wait_for_inspection(svc, coupon, out->suspect);
	*out = (struct audit){ 0 };
	if (s == STATUS_OK)
		s = audit_once(svc, a, coupon, options, out);
	findings_keep_common(&out->findings, &first);
	findings_release(&first);
	return s;
}
