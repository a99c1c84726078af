#include "order/order_row.h"

#include "base/buf.h"
#include "base/clock.h"
#include "host/fault.h"

static int insert_rows(struct service *svc, struct arena *a, int64_t coupon, const struct order_record *const *r,
		       int rows)
{
	enum { COLUMNS = 6 };
	struct buf sql;
	struct db_value *v = arena_alloc(a, (size_t)(rows * COLUMNS) * sizeof *v);
	int64_t now_ms = clock_ms();
	buf_init(&sql, a);
	buf_puts(
		&sql,
		"INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) VALUES ");
	for (int i = 0; i < rows; i++) {
		struct db_value *row = v + (ptrdiff_t)i * COLUMNS;
		buf_puts(&sql, i ? ", (?, ?, ?, ?, 1, ?, ?)" : "(?, ?, ?, ?, 1, ?, ?)");
		row[0] = DB_N(coupon);
		row[1] = DB_N(r[i]->segment);
		row[2] = DB_N(r[i]->sequence);
		row[3] = DB_N(r[i]->user);
		row[4] = DB_N(r[i]->claimed_ms);
		row[5] = DB_N(now_ms);
	}
	return db_exec_params(svc->db, sql.p, NULL, v, rows * COLUMNS);
}

/* The rows of a statement come in a few sizes, so that few different statements are prepared. */
int order_insert(struct service *svc, struct arena *a, int64_t coupon, const struct order_record *const *records,
		 int count)
{
	static const int sizes[] = { 512, 128, 32, 8, 1 };
	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
		for (; count >= sizes[k]; count -= sizes[k], records += sizes[k]) {
			if (insert_rows(svc, a, coupon, records, sizes[k]))
				return -1;
			FAULT(drain_inserted);
		}
	return 0;
}
