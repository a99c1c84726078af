/* Reads MySQL first: values that are compared with MySQL only grow, so those that are read later are not lower. */
#include "audit/audit.h"

#include <unistd.h>

#include "audit/entries.h"
#include "audit/orders.h"
#include "audit/units.h"
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

/* Uses one statement, so that all counts are of the same moment. */
static enum status read_coupon(struct service *svc, struct arena *a, int64_t id, struct audit *out)
{
	struct db_rows rows;
	struct findings *f = &out->findings;
	if (db_query(svc->db, a,
		     "SELECT " COUPON_COLUMNS ", c.sold, c.cancelled, (SELECT COUNT(*) FROM orders o WHERE "
		     "o.coupon_id = c.id AND o.live_user IS NOT NULL), (SELECT COUNT(*) FROM orders o WHERE "
		     "o.coupon_id = c.id), (SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND "
		     "o.segment >= c.segments), c.withdrawn FROM coupons c JOIN users u ON u.id = c.seller_id "
		     "WHERE c.id = ?",
		     &rows, DB_N(id)))
		return db_status(svc->db, "audit");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	const struct db_value *row = db_row(&rows, 0), *v = row + COUPON_COLUMN_COUNT;
	if (coupon_row_read(svc->db, &out->coupon, row, &out->published))
		return db_status(svc->db, "audit");
	out->counted = v[0].number;
	out->cancelled = v[1].number;
	out->rows = v[2].number;
	out->withdrawn = v[5].number;
	out->segments = arena_alloc(a, (size_t)out->coupon.segments * sizeof *out->segments);
	findings_expect_equal(f, FINDING_SOLD_COUNT, 0, out->counted, out->rows);
	findings_expect_equal(f, FINDING_CANCELLED_COUNT, 0, out->cancelled, v[3].number - out->rows);
	findings_expect_at_most(f, FINDING_OVERSOLD, 0, out->rows, out->coupon.amount - out->withdrawn);
	findings_expect_equal(f, FINDING_STRAY_ROWS, 0, v[4].number, 0);
	return STATUS_OK;
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

enum status audit_read(struct service *svc, struct arena *a, int64_t coupon, struct audit *out)
{
	*out = (struct audit){ 0 };
	enum status s = read_coupon(svc, a, coupon, out);
	if (s == STATUS_OK)
		s = read_dead_letters(svc, a, out);
	if (s == STATUS_OK)
		s = read_cursors(svc, a, out);
	return s == STATUS_OK && out->published ? audit_units(svc, a, out) : s;
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

static enum status audit_once(struct service *svc, struct arena *a, int64_t coupon, const struct audit_options *options,
			      struct audit *out)
{
	enum status s = audit_read(svc, a, coupon, out);
	if (s != STATUS_OK || !out->published)
		return s;
	out->lists = options->lists;
	s = audit_entries(svc, a, out);
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
