#include "catalog/supply.h"

#include "base/clock.h"
#include "host/fault.h"
#include "sale/coupon.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/sale_clock.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/sold_out.h"

enum { AMOUNT_MAX = 1000000000 };

struct supply {
	int64_t coupon, generation, amount, cancelled;
	int segments;
	int64_t ends_ms;
};

#define SUPPLY_COLUMNS "SELECT id, generation, amount, cancelled, segments, ends_at_ms FROM coupons "

static enum status first_row(struct db *db, const struct db_rows *rows, struct supply *s)
{
	const struct db_value *v = db_row(rows, 0);
	int64_t segments;
	if (!rows->count)
		return STATUS_NO_SUCH_COUPON;
	if (db_int(db, &v[4], 1, SEGMENTS_MAX, &segments))
		return db_status(db, "supply");
	*s = (struct supply){ v[0].number, v[1].number, v[2].number, v[3].number, (int)segments, v[5].number };
	return STATUS_OK;
}

static enum status read_named(struct service *svc, struct arena *a, const struct supply_request *rq, struct supply *s)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SUPPLY_COLUMNS "WHERE seller_id = ? AND name = ? AND published = 1", &rows,
		     DB_N(rq->seller), DB_S(rq->name)))
		return db_status(svc->db, "supply");
	return first_row(svc->db, &rows, s);
}

static enum status read_published(struct service *svc, struct arena *a, int64_t coupon, struct supply *s)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SUPPLY_COLUMNS "WHERE id = ? AND published = 1", &rows, DB_N(coupon)))
		return db_status(svc->db, "supply");
	return first_row(svc->db, &rows, s);
}

/*
 * Raises the totals of the hub. Sold-out flags of epochs before the one it returns in o->epoch are not valid any more.
 */
static enum status raise_hub(struct service *svc, struct arena *a, const struct supply *s, struct supply_opening *o)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_script(&c, &script_supply, 1);
	key_put(&c, KEY_HUB, s->coupon, 0);
	fence_put(&c, s->generation);
	redis_put_int(&c, s->amount);
	redis_put_int(&c, s->cancelled);
	stats_add(svc->stats, COUNT_scripts_total__supply, 1);
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	o->epoch = redis_number_at(reply, 1);
	o->wait_ms = redis_number_at(reply, 3) ? SOLD_OUT_NOTICE_MS : 0;
	if (str_eq(redis_text_at(reply, 0), STR("OK")))
		return STATUS_OK;
	worklist_inspect(svc->redis_sync, s->coupon, s->segments);
	return fence_read(redis_text_at(reply, 1), s->generation) == FENCE_SUSPECT ? STATUS_UNAVAILABLE : STATUS_FENCED;
}

static void on_flag(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	int *open = context;
	FAULT(supply_cleared);
	*open += end == REDIS_ANSWER && str_eq(redis_text_at(reply, 0), STR("OK"));
}

/* If a segment does not answer, the wait includes its flag; it always includes the workers' sold-out notices. */
static void clear_flags(struct service *svc, const struct supply *s, struct supply_opening *o)
{
	int64_t raised_ms = clock_mono_ms();
	int open = 0;
	for (int i = 0; i < s->segments; i++) {
		struct redis_command c;
		redis_script(&c, &script_flag, 1);
		key_put(&c, KEY_SEGMENT, s->coupon, i);
		fence_put(&c, s->generation);
		redis_put_int(&c, o->epoch);
		redis_put_int(&c, 0);
		stats_add(svc->stats, COUNT_scripts_total__flag, 1);
		redis_send(svc->redis_sync, &c, on_flag, &open);
	}
	redis_wait_all(svc->redis_sync);
	int64_t wait_ms = open < s->segments ? SOLD_OUT_FLAG_MS + SOLD_OUT_SKEW_MS : o->wait_ms;
	int64_t rest = raised_ms + wait_ms + 1 - clock_mono_ms();
	o->wait_ms = rest > 0 ? rest : 0;
}

/* The totals are sent as 0, so that the script raises nothing and only takes the epoch. */
void supply_open(struct service *svc, struct arena *a, const struct supply_opening *o)
{
	struct redis_command c;
	if (!o->epoch)
		return;
	redis_script(&c, &script_supply, 1);
	key_put(&c, KEY_HUB, o->coupon, 0);
	fence_put(&c, o->generation);
	redis_put_int(&c, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, o->epoch);
	stats_add(svc->stats, COUNT_scripts_total__supply, 1);
	redis_call(svc->redis_sync, a, &c, NULL);
}

static enum status put_on_sale(struct service *svc, struct arena *a, const struct supply *s, struct supply_opening *o)
{
	*o = (struct supply_opening){ .coupon = s->coupon, .generation = s->generation, .amount = s->amount };
	enum status status = raise_hub(svc, a, s, o);
	if (status != STATUS_OK)
		return status;
	FAULT(supply_told);
	clear_flags(svc, s, o);
	return STATUS_OK;
}

static enum status check_open(struct service *svc, struct arena *a, const struct supply *s)
{
	int64_t now_ms = 0;
	if (!s->ends_ms)
		return STATUS_OK;
	enum status status = sale_clock_read(svc, a, &now_ms);
	return status == STATUS_OK && now_ms >= s->ends_ms ? STATUS_ENDED : status;
}

enum status supply_add(struct service *svc, struct arena *a, const struct supply_request *rq, struct supply_opening *o)
{
	struct supply s;
	int64_t changed = 0;
	enum status status = read_named(svc, a, rq, &s);
	if (status == STATUS_OK)
		status = check_open(svc, a, &s);
	if (status != STATUS_OK)
		return status;
	if (db_exec(svc->db, "UPDATE coupons SET amount = amount + ? WHERE id = ? AND amount + ? <= 1000000000",
		    &changed, DB_N(rq->units), DB_N(s.coupon), DB_N(rq->units)))
		return db_status(svc->db, "supply");
	if (!changed)
		return STATUS_BAD_FIELD;
	FAULT(supply_counted);
	status = read_named(svc, a, rq, &s); /* the total includes units that others have added meanwhile */
	if (status == STATUS_OK)
		status = put_on_sale(svc, a, &s, o);
	if (status == STATUS_OK)
		FAULT(supply_opening_waits);
	return status;
}

enum status supply_read_hub(struct service *svc, struct arena *a, int64_t coupon, int64_t *amount, int64_t *cancelled)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, coupon, 0);
	redis_put_text(&c, "amount");
	redis_put_text(&c, "cancelled");
	enum redis_outcome end = redis_call(svc->redis_sync, a, &c, &reply);
	if (end != REDIS_ANSWER && end != REDIS_BROKEN)
		return STATUS_UNAVAILABLE;
	*amount = redis_number_at(reply, 0);
	*cancelled = redis_number_at(reply, 1);
	if (*amount < 0 || *amount > AMOUNT_MAX || *cancelled < 0 || *cancelled > AMOUNT_MAX)
		*amount = *cancelled = 0; /* these numbers were not written by this service */
	return STATUS_OK;
}

int supply_raise(struct service *svc, int64_t coupon, int64_t amount, int64_t cancelled)
{
	return db_exec(
		svc->db,
		"UPDATE coupons SET amount = GREATEST(amount, ?), cancelled = GREATEST(cancelled, ?) WHERE id = ?",
		NULL, DB_N(amount), DB_N(cancelled), DB_N(coupon));
}

enum status supply_redo(struct service *svc, struct arena *a, int64_t coupon, struct supply_opening *o)
{
	struct supply s;
	int64_t amount = 0, cancelled = 0;
	*o = (struct supply_opening){ .coupon = coupon };
	enum status status = read_published(svc, a, coupon, &s);
	if (status == STATUS_OK)
		status = supply_read_hub(svc, a, coupon, &amount, &cancelled);
	if (status != STATUS_OK)
		return status;
	if ((amount > s.amount || cancelled > s.cancelled) && supply_raise(svc, coupon, amount, cancelled))
		return db_status(svc->db, "supply");
	if (amount >= s.amount && cancelled >= s.cancelled)
		return STATUS_OK;
	FAULT(supply_found);
	return put_on_sale(svc, a, &s, o);
}
