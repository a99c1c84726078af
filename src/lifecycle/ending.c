#include "lifecycle/ending.h"

#include "base/buf.h"
#include "host/fault.h"
#include "host/log.h"

/* A statement about many orders. */
struct statement {
	struct buf sql;
	struct db_value *params;
	int count;
};

static struct statement start(struct arena *a, const char *sql)
{
	enum { FIXED = 8, EACH = 3 };
	struct statement s = { .params = arena_alloc(a, (FIXED + EACH * ENDING_MAX) * sizeof *s.params) };
	buf_init(&s.sql, a);
	buf_puts(&s.sql, sql);
	return s;
}

static void put(struct statement *s, int64_t value)
{
	s->params[s->count++] = DB_N(value);
}

/* The last order is repeated, so that only a few different statements are prepared. */
static int padded(int count)
{
	int size = 1;
	while (size < count)
		size *= 8;
	return size;
}

/* Adds the condition that a row is of one of these orders. */
static void put_orders(struct statement *s, const struct ending *e, bool with_pay_by)
{
	int size = padded(e->count);
	buf_puts(&s->sql, " coupon_id = ? AND (");
	put(s, e->coupon);
	for (int i = 0; i < size; i++) {
		const struct ending_order *o = &e->orders[i < e->count ? i : e->count - 1];
		buf_puts(&s->sql, i ? " OR " : "");
		buf_puts(&s->sql,
			 with_pay_by ? "(pay_by_ms = ? AND segment = ? AND seq = ?)" : "(segment = ? AND seq = ?)");
		if (with_pay_by)
			put(s, o->pay_by_ms);
		put(s, o->segment);
		put(s, o->sequence);
	}
	buf_puts(&s->sql, ")");
}

/* Whether a number of changed rows is what it must be. If not, MySQL's numbers contradict each other. */
static int expect(const struct ending *e, const char *what, int64_t changed, int64_t wanted)
{
	if (changed == wanted)
		return 0;
	log_error("books_contradict", LOG_INT("coupon", e->coupon), LOG_TEXT("what", what), LOG_INT("changed", changed),
		  LOG_INT("expected", wanted));
	return -1;
}

int ending_lock(struct service *svc, struct arena *a, const struct ending *e, struct db_rows *rows)
{
	struct statement s = start(a, "SELECT segment, seq, status, pay_by_ms FROM orders WHERE");
	put_orders(&s, e, false);
	buf_puts(&s.sql, " ORDER BY segment, seq FOR UPDATE");
	return db_query_params(svc->db, a, s.sql.p, rows, s.params, s.count);
}

static int set_status(struct service *svc, struct arena *a, const struct ending *e)
{
	int64_t changed = 0;
	struct statement s = start(a, "UPDATE orders SET status = ? WHERE status = ? AND");
	put(&s, e->to);
	put(&s, e->from);
	put_orders(&s, e, false);
	if (db_exec_params(svc->db, s.sql.p, &changed, s.params, s.count) || expect(e, "orders", changed, e->count))
		return -1;
	FAULT(life_ended);
	return 0;
}

int ending_forget_unpaid(struct service *svc, struct arena *a, const struct ending *e)
{
	struct statement s = start(a, "DELETE FROM unpaid_orders WHERE");
	put_orders(&s, e, true);
	if (db_exec_params(svc->db, s.sql.p, NULL, s.params, s.count))
		return -1;
	FAULT(life_not_unpaid);
	return 0;
}

static int enter_returned(struct service *svc, struct arena *a, const struct ending *e)
{
	struct statement s = start(a, "INSERT INTO returned_orders (coupon_id, segment, seq, user_id) "
				      "SELECT coupon_id, segment, seq, user_id FROM orders WHERE");
	put_orders(&s, e, false);
	if (db_exec_params(svc->db, s.sql.p, NULL, s.params, s.count))
		return -1;
	FAULT(life_returned);
	return 0;
}

static int add_events(struct service *svc, struct arena *a, const struct ending *e)
{
	struct statement s = start(a, "INSERT INTO order_events (coupon_id, segment, seq, at_ms, kind, actor, reason) "
				      "SELECT coupon_id, segment, seq, ?, ?, ?, ? FROM orders WHERE");
	put(&s, e->at_ms);
	put(&s, e->kind);
	put(&s, e->actor);
	s.params[s.count++] = DB_S(e->reason);
	put_orders(&s, e, false);
	if (db_exec_params(svc->db, s.sql.p, NULL, s.params, s.count))
		return -1;
	FAULT(life_event);
	return 0;
}

static int count_units(struct service *svc, const struct ending *e)
{
	int64_t changed = 0;
	if (db_exec(svc->db,
		    "UPDATE coupons SET sold = sold - ?, cancelled = cancelled + ?, final_cancelled = final_cancelled + ?, "
		    "hub_told = 0 WHERE id = ? AND sold >= ?",
		    &changed, DB_N(e->count), DB_N(e->count), DB_N(e->was_final ? e->count : 0), DB_N(e->coupon),
		    DB_N(e->count)) ||
	    expect(e, "sold", changed, 1))
		return -1;
	FAULT(life_counted);
	return 0;
}

int ending_write(struct service *svc, struct arena *a, const struct ending *e)
{
	if (set_status(svc, a, e))
		return -1;
	if (e->from == ORDER_PENDING && ending_forget_unpaid(svc, a, e))
		return -1;
	return enter_returned(svc, a, e) || add_events(svc, a, e) || count_units(svc, e) ? -1 : 0;
}
