#include "lifecycle/payment.h"

#include "sale/coupon.h"
#include "sale/db_status.h"

#define COLUMNS                                                                                                        \
	"payment_id, coupon_id, segment, seq, amount, currency, refunded, at_ms, pays_segment, pays_seq, late, "       \
	"refund_due FROM payments "

bool payment_is_id(struct str text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
	for (size_t i = 0; i < text.n; i++)
		if (!memchr(allowed, text.p[i], sizeof allowed - 1))
			return false;
	return text.n >= 1 && text.n <= PAYMENT_ID_MAX;
}

const char *payment_text(const struct payment *p)
{
	if (p->late)
		return "late";
	if (p->due)
		return "refund-due";
	return p->pays.sequence && (p->refunded < p->amount || !p->amount) ? "paid" : "refunded";
}

static int read_row(struct db *db, const struct db_value *v, struct payment *p)
{
	int64_t segment, pays_segment = 0;
	if (db_int(db, &v[2], 0, SEGMENTS_MAX - 1, &segment) ||
	    (v[8].type != DB_NULL && db_int(db, &v[8], 0, SEGMENTS_MAX - 1, &pays_segment)))
		return -1;
	*p = (struct payment){ .id = v[0].text,
			       .order = { v[1].number, v[3].number, (int)segment },
			       .pays = { v[1].number, v[9].number, (int)pays_segment },
			       .amount = v[4].number,
			       .currency = v[5].text,
			       .refunded = v[6].number,
			       .at_ms = v[7].number,
			       .late = v[10].number == 1,
			       .due = v[11].number };
	return 0;
}

static enum status read_rows(struct service *svc, struct arena *a, const struct db_rows *rows,
			     struct payment **payments, int *count)
{
	*payments = arena_alloc(a, (size_t)(rows->count + 1) * sizeof **payments);
	for (*count = 0; *count < rows->count; ++*count)
		if (read_row(svc->db, db_row(rows, *count), &(*payments)[*count]))
			return db_status(svc->db, "payments");
	return STATUS_OK;
}

enum status payment_list(struct service *svc, struct arena *a, const struct order_number *o, struct payment **payments,
			 int *count)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "(SELECT " COLUMNS "WHERE coupon_id = ? AND segment = ? AND seq = ?) UNION "
		     "(SELECT " COLUMNS "WHERE coupon_id = ? AND pays_segment = ? AND pays_seq = ?) "
		     "ORDER BY at_ms, payment_id LIMIT ?",
		     &rows, DB_N(o->coupon), DB_N(o->segment), DB_N(o->sequence), DB_N(o->coupon), DB_N(o->segment),
		     DB_N(o->sequence), DB_N(PAYMENTS_MAX)))
		return db_status(svc->db, "payments");
	return read_rows(svc, a, &rows, payments, count);
}

enum status payment_refund_due(struct service *svc, struct arena *a, struct refund_due_page *page)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " COLUMNS "WHERE refund_due > ? OR (refund_due = ? AND payment_id > ?) "
		     "ORDER BY refund_due, payment_id LIMIT ?",
		     &rows, DB_N(page->after_due), DB_N(page->after_due), DB_S(page->after_id), DB_N(page->limit)))
		return db_status(svc->db, "payments");
	return read_rows(svc, a, &rows, &page->payments, &page->count);
}

enum status payment_refund_due_count(struct service *svc, struct arena *a, int64_t *count)
{
	struct db_rows rows;
	if (db_query_row(svc->db, a, "SELECT COUNT(*) FROM payments WHERE refund_due > 0", &rows))
		return db_status(svc->db, "payments");
	*count = db_row(&rows, 0)->number;
	return STATUS_OK;
}

enum status payment_late(struct service *svc, struct arena *a, struct str after, int limit, struct payment **payments,
			 int *count)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT " COLUMNS "WHERE late = 1 AND payment_id > ? ORDER BY payment_id LIMIT ?",
		     &rows, DB_S(after), DB_N(limit)))
		return db_status(svc->db, "payments");
	return read_rows(svc, a, &rows, payments, count);
}

int payment_lock(struct service *svc, struct arena *a, struct str id, struct payment *p, bool *found)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT " COLUMNS "WHERE payment_id = ? FOR UPDATE", &rows, DB_S(id)))
		return -1;
	*found = rows.count > 0;
	return *found ? read_row(svc->db, db_row(&rows, 0), p) : 0;
}

int payment_insert(struct service *svc, const struct payment *p)
{
	bool pays = p->pays.sequence;
	return db_exec(svc->db,
		       "INSERT INTO payments (payment_id, coupon_id, segment, seq, amount, currency, at_ms, "
		       "pays_segment, pays_seq, late) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		       NULL, DB_S(p->id), DB_N(p->order.coupon), DB_N(p->order.segment), DB_N(p->order.sequence),
		       DB_N(p->amount), DB_S(p->currency), DB_N(p->at_ms), pays ? DB_N(p->pays.segment) : DB_NIL,
		       pays ? DB_N(p->pays.sequence) : DB_NIL, p->late ? DB_N(1) : DB_NIL);
}

int payment_insert_refund(struct service *svc, const struct refund *r, bool *is_new)
{
	int result = db_exec(svc->db,
			     "INSERT INTO refunds (refund_id, payment_id, amount, currency, at_ms) "
			     "VALUES (?, ?, ?, ?, ?)",
			     NULL, DB_S(r->id), DB_S(r->payment), DB_N(r->amount), DB_S(r->currency), DB_N(r->at_ms));
	*is_new = !result;
	return result && db_failure(svc->db) == DB_DUPLICATE ? 0 : result;
}

int payment_read_refund(struct service *svc, struct arena *a, struct str id, struct refund *r)
{
	struct db_rows rows;
	if (db_query_row(svc->db, a, "SELECT payment_id, amount, currency, at_ms FROM refunds WHERE refund_id = ?",
			 &rows, DB_S(id)))
		return -1;
	const struct db_value *v = db_row(&rows, 0);
	*r = (struct refund){ id, v[0].text, v[1].number, v[2].text, v[3].number };
	return 0;
}

/* In an UPDATE, MySQL uses the new value of a column that was assigned before. Refunds of another currency do not
 * count. */
int payment_sum_refunds(struct service *svc, struct str id)
{
	return db_exec(svc->db,
		       "UPDATE payments SET refunded = (SELECT COALESCE(SUM(r.amount), 0) FROM refunds r WHERE "
		       "r.payment_id = payments.payment_id AND r.currency = payments.currency), "
		       "late = CASE WHEN refunded = 0 OR refunded < amount THEN late END WHERE payment_id = ?",
		       NULL, DB_S(id));
}

int payment_settle_late(struct service *svc, struct str id, const struct order_number *pays, bool *changed)
{
	int64_t rows = 0;
	if (db_exec(svc->db,
		    "UPDATE payments SET pays_segment = ?, pays_seq = ?, late = NULL WHERE payment_id = ? AND late = 1",
		    &rows, pays->sequence ? DB_N(pays->segment) : DB_NIL,
		    pays->sequence ? DB_N(pays->sequence) : DB_NIL, DB_S(id)))
		return -1;
	*changed = rows == 1;
	return 0;
}

int payment_release(struct service *svc, const struct order_number *order)
{
	return db_exec(svc->db,
		       "UPDATE payments SET pays_segment = NULL, pays_seq = NULL "
		       "WHERE coupon_id = ? AND pays_segment = ? AND pays_seq = ?",
		       NULL, DB_N(order->coupon), DB_N(order->segment), DB_N(order->sequence));
}
