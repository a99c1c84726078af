/* What MySQL has of a coupon comes first: all that is compared with it is read later, and only grows. */
#include "audit/audit.h"

#include <unistd.h>

#include "audit/audit_part.h"
#include "base/parse.h"
#include "catalog/publish.h"
#include "order/dead_letter.h"
#include "sale/db_status.h"

enum { PAUSE_US = 300000, DOUBT_PAUSES = 10 };

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

void audit_expect(struct audit *audit, enum finding_kind kind, int segment, bool holds, int64_t is, int64_t want)
{
	if (!holds)
		findings_add(&audit->findings,
			     (struct finding){ .kind = kind, .segment = segment, .is = is, .want = want });
}

/* MySQL */

/* One statement, so that what is counted is of one moment. */
static enum status read_coupon(struct service *svc, struct arena *a, int64_t id, struct audit *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " PUBLISH_COLUMNS ", c.sold, c.cancelled, (SELECT COUNT(*) FROM orders o WHERE "
		     "o.coupon_id = c.id AND o.live_user IS NOT NULL), (SELECT COUNT(*) FROM orders o WHERE "
		     "o.coupon_id = c.id), (SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND "
		     "o.segment >= c.segments), c.withdrawn FROM coupons c JOIN users u ON u.id = c.seller_id "
		     "WHERE c.id = ?",
		     &rows, DB_N(id)))
		return db_status(svc->db, "audit");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	const struct db_value *v = db_row(&rows, 0);
	if (publish_row(svc->db, &out->coupon, v, &out->published))
		return db_status(svc->db, "audit");
	out->counted = v[15].number;
	out->cancelled = v[16].number;
	out->rows = v[17].number;
	out->withdrawn = v[20].number;
	out->segments = arena_alloc(a, (size_t)out->coupon.segments * sizeof *out->segments);
	int64_t over = v[18].number - out->rows, most = out->coupon.amount - out->withdrawn;
	audit_expect(out, FINDING_SOLD_COUNT, 0, out->counted == out->rows, out->counted, out->rows);
	audit_expect(out, FINDING_CANCELLED_COUNT, 0, out->cancelled == over, out->cancelled, over);
	audit_expect(out, FINDING_OVERSOLD, 0, out->rows <= most, out->rows, most);
	audit_expect(out, FINDING_STRAY_ROWS, 0, v[19].number == 0, v[19].number, 0);
	return STATUS_OK;
}

static enum status read_dead(struct service *svc, struct arena *a, struct audit *out)
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
		s = read_dead(svc, a, out);
	if (s == STATUS_OK)
		s = read_cursors(svc, a, out);
	if (s != STATUS_OK || !out->published) /* its creation was cut short: nothing of it can have been sold */
		return s;
	return audit_units(svc, a, out);
}

/* Everything */

/* The hub counts numbers that were given out, and whose units a recovery of layout 1 has put on sale again. */
static void forgive_skipped(struct audit *out)
{
	struct findings *f = &out->findings;
	int kept = 0, skipped = 0;
	for (int i = 0; i < f->count; i++)
		skipped += f->at[i].kind == FINDING_NO_TRACE || f->at[i].kind == FINDING_LOST_NUMBER;
	if (f->more || skipped > out->skipped)
		return;
	for (int i = 0; i < f->count; i++)
		if (f->at[i].kind != FINDING_NO_TRACE && f->at[i].kind != FINDING_LOST_NUMBER)
			f->at[kept++] = f->at[i];
	f->count = kept;
}

static enum status look(struct service *svc, struct arena *a, int64_t coupon, const struct audit_manner *manner,
			struct audit *out)
{
	enum status s = audit_read(svc, a, coupon, out);
	if (s != STATUS_OK || !out->published)
		return s;
	out->lists = manner->lists;
	s = audit_entries(svc, a, out);
	for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++)
		s = audit_orders(svc, out, i, manner);
	forgive_skipped(out);
	return s;
}

/*
 * While a server that was replaced is inspected, hub and segments may know different totals. That takes a second or
 * two; what an inspection has not mended until then it does not mend.
 */
static enum status wait_for_inspection(struct service *svc, int64_t coupon, bool in_doubt)
{
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && in_doubt && i < DOUBT_PAUSES; i++) {
		struct arena a = { 0 };
		struct audit now;
		usleep(PAUSE_US);
		s = audit_read(svc, &a, coupon, &now);
		in_doubt = now.in_doubt;
		audit_release(&now);
		arena_release(&a);
	}
	return s;
}

enum status audit_run(struct service *svc, struct arena *a, int64_t coupon, const struct audit_manner *manner,
		      struct audit *out)
{
	enum status s = look(svc, a, coupon, manner, out);
	if (s != STATUS_OK || !out->findings.count)
		return s;
	struct findings first = out->findings;
	usleep(PAUSE_US);
	s = wait_for_inspection(svc, coupon, out->in_doubt);
	*out = (struct audit){ 0 };
	if (s == STATUS_OK)
		s = look(svc, a, coupon, manner, out);
	findings_keep_common(&out->findings, &first);
	findings_release(&first);
	return s;
}
