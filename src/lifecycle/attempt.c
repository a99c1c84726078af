#include "lifecycle/attempt.h"

#include "base/clock.h"
#include "host/fault.h"
#include "sale/db_status.h"
#include "sale/sale_clock.h"

/* Who waits for a lock loses its race only after half of mysql_timeout_s, so there are few attempts. */
enum { ATTEMPTS = 4 };

/* STATUS_INTERNAL: the database has failed, and the transaction is rolled back. */
static enum status run_once(struct service *svc, struct arena *a, attempt_once *once, void *context)
{
	if (db_begin(svc->db))
		return STATUS_INTERNAL;
	enum status s = once(svc, a, context);
	if (s == STATUS_OK && db_commit(svc->db))
		s = STATUS_INTERNAL;
	if (s != STATUS_OK)
		db_rollback(svc->db);
	else
		FAULT(life_committed);
	return s;
}

enum status attempt(struct service *svc, struct arena *a, const char *at, attempt_once *once, void *context)
{
	enum status s = STATUS_INTERNAL;
	for (int i = 0; i < ATTEMPTS && s == STATUS_INTERNAL; i++) {
		s = run_once(svc, a, once, context);
		enum db_failure f = db_failure(svc->db);
		if (s == STATUS_INTERNAL && f != DB_TRANSIENT && f != DB_DUPLICATE)
			break;
	}
	return s == STATUS_INTERNAL ? db_status(svc->db, at) : s;
}

int64_t attempt_clock_ms(struct service *svc, struct arena *a)
{
	int64_t now_ms = 0;
	return sale_clock_read(svc, a, &now_ms) == STATUS_OK ? now_ms : clock_ms();
}

enum status order_row_lock(struct service *svc, struct arena *a, const struct order_number *n, struct order_row *row)
{
	struct db_rows rows;
	int64_t status;
	if (db_query(
		    svc->db, a,
		    "SELECT user_id, status, pay_by_ms, unit FROM orders WHERE coupon_id = ? AND segment = ? AND seq = ? "
		    "FOR UPDATE",
		    &rows, DB_N(n->coupon), DB_N(n->segment), DB_N(n->sequence)))
		return STATUS_INTERNAL;
	if (!rows.count)
		return STATUS_PENDING;
	const struct db_value *v = db_row(&rows, 0);
	if (db_int(svc->db, &v[1], ORDER_PENDING, ORDER_CONFIRMED, &status))
		return STATUS_INTERNAL;
	*row = (struct order_row){ v[0].number, v[2].number, (enum order_status)status, (int)v[3].number };
	FAULT(life_locked);
	return STATUS_OK;
}

enum status terms_read(struct service *svc, struct arena *a, int64_t coupon, struct terms *t)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT seller_id, price, currency, pay_within_s, late_payment FROM coupons WHERE id = ?", &rows,
		     DB_N(coupon)))
		return STATUS_INTERNAL;
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	const struct db_value *v = db_row(&rows, 0);
	*t = (struct terms){ v[0].number, v[1].number, v[2].text, v[3].number > 0, v[4].number == 1 };
	return STATUS_OK;
}
