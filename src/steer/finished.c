#include "steer/finished.h"

#include "sale/key.h"

struct lists {
	bool failed, found;
};

static void on_length(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct lists *l = context;
	l->failed |= end != REDIS_ANSWER;
	l->found |= end == REDIS_ANSWER && redis_number(reply) > 0;
}

static void send_length(struct service *svc, enum key list, int64_t coupon, int segment, struct lists *l)
{
	struct redis_command c;
	redis_command(&c, "LLEN");
	key_put(&c, list, coupon, segment);
	redis_send(svc->redis_sync, &c, on_length, l);
}

enum status finished_lists(struct service *svc, const struct sale_settings *s, bool *empty)
{
	struct lists l = { 0 };
	send_length(svc, KEY_JOURNAL, s->id, 0, &l);
	for (int i = 0; i < s->segments; i++)
		send_length(svc, KEY_ORDERS, s->id, i, &l);
	redis_wait_all(svc->redis_sync);
	*empty = !l.found;
	return l.failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

/* What must not exist of the coupon, and what the seller is told if it does. */
static const struct {
	const char *sql, *detail;
} rows[] = {
	{ "SELECT 1 FROM unpaid_orders WHERE coupon_id = ? LIMIT 1", "orders wait for their payment" },
	{ "SELECT 1 FROM returned_orders WHERE coupon_id = ? LIMIT 1",
	  "units of orders that are over are on their way back" },
	{ "SELECT 1 FROM payments WHERE coupon_id = ? AND late = 1 LIMIT 1", "a late payment waits for a unit" },
	{ "SELECT 1 FROM dead_letters WHERE coupon_id = ? AND state = 0 LIMIT 1",
	  "orders wait for an operator's decision (seckillctl dead)" },
	{ "SELECT 1 FROM waiting_entries WHERE coupon_id = ? AND state = 0 LIMIT 1",
	  "people wait, and are still to be told" },
};

static enum status refuse(struct steer_result *r, const char *detail)
{
	r->detail = detail;
	return STATUS_UNFINISHED;
}

enum status finished_check(struct service *svc, struct arena *a, struct steer_result *r, bool lists_empty)
{
	const struct sale_settings *s = &r->settings;
	if (!s->is_told)
		return refuse(r, "the end of the sale, or a withdrawal, has not taken effect everywhere");
	if (!lists_empty)
		return refuse(r, "orders wait to be stored");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct db_rows found;
		if (db_query(svc->db, a, rows[i].sql, &found, DB_N(s->id)))
			return STATUS_INTERNAL;
		if (found.count)
			return refuse(r, rows[i].detail);
	}
	return STATUS_OK;
}
