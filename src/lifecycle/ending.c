#include "lifecycle/ending.h"

#include "host/fault.h"
#include "host/log.h"
#include "sale/order_keys.h"

static struct db_value keys_of(struct arena *a, const struct ending *e)
{
	struct buf b;
	order_keys_begin(&b, a);
	for (int i = 0; i < e->count; i++)
		order_keys_put(&b, e->coupon, e->orders[i].segment, e->orders[i].sequence, e->orders[i].pay_by_ms);
	return DB_S(order_keys_end(&b));
}

/* The rows of orders with these keys. */
#define ORDERS                                                                                                         \
	ORDER_KEYS "STRAIGHT_JOIN orders o ON o.coupon_id = k.coupon_id AND o.segment = k.segment AND o.seq = k.seq "

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
	return db_query(svc->db, a,
			"SELECT o.segment, o.seq, o.status, o.pay_by_ms FROM " ORDERS
			"ORDER BY o.segment, o.seq FOR UPDATE",
			rows, keys_of(a, e));
}

static int set_status(struct service *svc, struct arena *a, const struct ending *e)
{
	int64_t changed = 0;
	if (db_exec(svc->db, "UPDATE " ORDERS "SET o.status = ? WHERE o.status = ?", &changed, keys_of(a, e),
		    DB_N(e->to), DB_N(e->from)) ||
	    expect(e, "orders", changed, e->count))
		return -1;
	FAULT(life_ended);
	return 0;
}

int ending_forget_unpaid(struct service *svc, struct arena *a, const struct ending *e)
{
	if (db_exec(svc->db,
		    "DELETE u FROM " ORDER_KEYS "STRAIGHT_JOIN unpaid_orders u ON u.coupon_id = k.coupon_id "
		    "AND u.pay_by_ms = k.pay_by_ms AND u.segment = k.segment AND u.seq = k.seq",
		    NULL, keys_of(a, e)))
		return -1;
	FAULT(life_not_unpaid);
	return 0;
}

static int enter_returned(struct service *svc, struct arena *a, const struct ending *e)
{
	if (db_exec(svc->db,
		    "INSERT INTO returned_orders (coupon_id, segment, seq, user_id, unit) "
		    "SELECT o.coupon_id, o.segment, o.seq, o.user_id, o.unit FROM " ORDERS,
		    NULL, keys_of(a, e)))
		return -1;
	FAULT(life_returned);
	return 0;
}

static int add_events(struct service *svc, struct arena *a, const struct ending *e)
{
	if (db_exec(svc->db,
		    "INSERT INTO order_events (coupon_id, segment, seq, at_ms, kind, actor, reason) "
		    "SELECT k.coupon_id, k.segment, k.seq, ?, ?, ?, ? FROM " ORDER_KEYS,
		    NULL, DB_N(e->at_ms), DB_N(e->kind), DB_N(e->actor), DB_S(e->reason), keys_of(a, e)))
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
