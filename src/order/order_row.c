#include "order/order_row.h"

#include "base/buf.h"
#include "base/clock.h"
#include "host/fault.h"
#include "sale/order_status.h"

/* How long a customer can pay, at least, after the row is there; unless pay_within_s is shorter. */
enum { LEAST_TO_PAY_S = 60 };

/* 0: no payment is asked for. */
static int64_t pay_by_ms(const struct order_rows *rows, const struct order_record *r, int64_t now_ms)
{
	int64_t least_s = rows->pay_within_s < LEAST_TO_PAY_S ? rows->pay_within_s : LEAST_TO_PAY_S;
	int64_t pay_by = r->claimed_ms + rows->pay_within_s * 1000, least = now_ms + least_s * 1000;
	if (!rows->pay_within_s)
		return 0;
	return pay_by > least ? pay_by : least;
}

/* A statement that inserts rows, each of which has the same text. */
struct insertion {
	struct service *svc;
	struct buf sql;
	const char *row;
	struct db_value *values;
	int count;
};

static void begin(struct insertion *s, struct arena *a, const char *head, int values)
{
	s->values = arena_alloc(a, (size_t)values * sizeof *s->values);
	buf_init(&s->sql, a);
	buf_puts(&s->sql, head);
}

static void put_row(struct insertion *s, const struct db_value *values, int count)
{
	buf_puts(&s->sql, s->count ? ", " : "");
	buf_puts(&s->sql, s->row);
	memcpy(s->values + s->count, values, (size_t)count * sizeof *values);
	s->count += count;
}

static int run(struct insertion *s)
{
	return db_exec_params(s->svc->db, s->sql.p, NULL, s->values, s->count);
}

static int insert_orders(struct service *svc, struct arena *a, const struct order_rows *rows, int64_t now_ms)
{
	enum { COLUMNS = 10 };
	bool unpaid = rows->pay_within_s > 0;
	struct insertion s = { .svc = svc,
			       .row = unpaid ? "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" : "(?, ?, ?, ?, ?, ?, ?, ?, ?, 0)" };
	begin(&s, a,
	      "INSERT INTO orders (coupon_id, segment, seq, user_id, unit, promotion, status, claimed_at_ms, "
	      "confirmed_at_ms, pay_by_ms) VALUES ",
	      rows->count * COLUMNS);
	for (int i = 0; i < rows->count; i++) {
		const struct order_record *r = rows->records[i];
		const struct db_value row[] = { DB_N(rows->coupon),
						DB_N(r->segment),
						DB_N(r->sequence),
						DB_N(r->user),
						DB_N(r->unit),
						r->ticket ? DB_N(r->ticket) : DB_NIL,
						DB_N(unpaid ? ORDER_PENDING : ORDER_CONFIRMED),
						DB_N(r->claimed_ms),
						DB_N(now_ms),
						DB_N(pay_by_ms(rows, r, now_ms)) };
		put_row(&s, row, unpaid ? COLUMNS : COLUMNS - 1);
	}
	return run(&s);
}

static int insert_unpaid(struct service *svc, struct arena *a, const struct order_rows *rows, int64_t now_ms)
{
	enum { COLUMNS = 4 };
	struct insertion s = { .svc = svc, .row = "(?, ?, ?, ?)" };
	if (!rows->pay_within_s)
		return 0;
	begin(&s, a, "INSERT INTO unpaid_orders (coupon_id, pay_by_ms, segment, seq) VALUES ", rows->count * COLUMNS);
	for (int i = 0; i < rows->count; i++) {
		const struct order_record *r = rows->records[i];
		const struct db_value row[] = { DB_N(rows->coupon), DB_N(pay_by_ms(rows, r, now_ms)), DB_N(r->segment),
						DB_N(r->sequence) };
		put_row(&s, row, COLUMNS);
	}
	return run(&s);
}

/* The rows of a statement come in a few sizes, so that few different statements are prepared. */
int order_insert(struct service *svc, struct arena *a, const struct order_rows *rows)
{
	static const int sizes[] = { 512, 128, 32, 8, 1 };
	struct order_rows rest = *rows, some = *rows;
	int64_t now_ms = clock_ms();
	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
		for (some.count = sizes[k]; rest.count >= some.count; rest.count -= some.count) {
			some.records = rest.records;
			if (insert_orders(svc, a, &some, now_ms) || insert_unpaid(svc, a, &some, now_ms))
				return -1;
			FAULT(drain_inserted);
			rest.records += some.count;
		}
	return 0;
}

int order_count_sold(struct service *svc, int64_t coupon, int64_t orders, bool *counted)
{
	int64_t changed = 0;
	int failed = db_exec(svc->db,
			     "UPDATE coupons SET sold = sold + ?, hub_told = IF(pay_within_s > 0, 0, hub_told) "
			     "WHERE id = ? AND sold + ? <= amount",
			     &changed, DB_N(orders), DB_N(coupon), DB_N(orders));
	*counted = changed == 1;
	return failed;
}

int order_mark_promoted(struct service *svc, struct arena *a, const struct order_rows *rows)
{
	enum { TICKETS = 64 };
	struct db_value v[TICKETS + 1] = { DB_N(rows->coupon) };
	struct buf sql;
	buf_init(&sql, a);
	buf_puts(&sql, "UPDATE waiting_entries SET state = 1 WHERE coupon_id = ? AND ticket IN (?");
	for (int i = 1; i < TICKETS; i++)
		buf_puts(&sql, ", ?");
	buf_puts(&sql, ")");
	for (int i = 0, n = 0; i < rows->count; i++) {
		if (rows->records[i]->ticket)
			v[++n] = DB_N(rows->records[i]->ticket);
		if (!n || (n < TICKETS && i + 1 < rows->count))
			continue;
		for (int k = n + 1; k <= TICKETS; k++)
			v[k] = v[n];
		if (db_exec_params(svc->db, buf_str(&sql).p, NULL, v, TICKETS + 1))
			return -1;
		n = 0;
	}
	return 0;
}
