#include "catalog/supply.h"

#include "base/clock.h"
#include "base/parse.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/coupon.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/sale_clock.h"
#include "sale/scripts.h"
#include "catalog/settings.h"
#include "sale/worklist.h"
#include "stock/sold_out.h"

enum { AMOUNT_MAX = 1000000000 };

/* What MySQL has of a coupon. */
struct supply {
	int64_t coupon, generation;
	struct supply_totals totals;
	int64_t sold, ends_ms;
	int segments;
};

#define SUPPLY_COLUMNS                                                                                                 \
	"SELECT c.id, c.generation, c.amount, c.cancelled, c.final, c.final_cancelled, c.pay_within_s, c.sold, "       \
	"c.ends_at_ms, c.segments, c.withdrawn, c.withdraw_missed FROM coupons c "

static enum status first_row(struct db *db, const struct db_rows *rows, struct supply *s)
{
	const struct db_value *v = db_row(rows, 0);
	int64_t segments;
	if (!rows->count)
		return STATUS_NO_SUCH_COUPON;
	if (db_int(db, &v[9], 1, SEGMENTS_MAX, &segments))
		return db_status(db, "supply");
	*s = (struct supply){ .coupon = v[0].number,
			      .generation = v[1].number,
			      .totals = { .amount = v[2].number,
					  .cancelled = v[3].number,
					  .final = v[4].number,
					  .final_cancelled = v[5].number,
					  .pays = v[6].number > 0,
					  .withdrawn = v[10].number,
					  .missed = v[11].number },
			      .sold = v[7].number,
			      .ends_ms = v[8].number,
			      .segments = (int)segments };
	return STATUS_OK;
}

static enum status read_named(struct service *svc, struct arena *a, const struct supply_request *rq, struct supply *s)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SUPPLY_COLUMNS "WHERE c.seller_id = ? AND c.name = ? AND c.published = 1", &rows,
		     DB_N(rq->seller), DB_S(rq->name)))
		return db_status(svc->db, "supply");
	return first_row(svc->db, &rows, s);
}

static enum status read_published(struct service *svc, struct arena *a, int64_t coupon, struct supply *s)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SUPPLY_COLUMNS "WHERE c.id = ? AND c.published = 1", &rows, DB_N(coupon)))
		return db_status(svc->db, "supply");
	return first_row(svc->db, &rows, s);
}

/* What supply.lua is told. */
struct word {
	struct supply_totals totals;
	int64_t pay_by_ms; /* -1: as before */
	int64_t epoch;     /* for which the caller has waited; 0: none */
};

static void put_word(struct redis_command *c, int64_t coupon, int64_t generation, const struct word *w)
{
	const struct supply_totals *t = &w->totals;
	redis_script(c, &script_supply, 1);
	key_put(c, KEY_HUB, coupon, 0);
	fence_put(c, generation);
	redis_put_int(c, t->amount);
	redis_put_int(c, t->cancelled);
	redis_put_int(c, t->final);
	redis_put_int(c, t->final_cancelled);
	redis_put_int(c, t->pays);
	if (w->pay_by_ms < 0)
		redis_put_text(c, "");
	else
		redis_put_int(c, w->pay_by_ms);
	redis_put_int(c, w->epoch);
	redis_put_int(c, t->withdrawn);
	redis_put_int(c, t->missed);
}

/* Raises the totals of the hub. Sold-out flags of epochs before o->epoch are not valid any more. */
static enum status raise_hub(struct service *svc, struct arena *a, const struct supply *s, int64_t pay_by_ms,
			     struct supply_opening *o)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	put_word(&c, s->coupon, s->generation, &(struct word){ .totals = s->totals, .pay_by_ms = pay_by_ms });
	stats_add(svc->stats, COUNT_scripts_total__supply, 1);
	*o = (struct supply_opening){ .coupon = s->coupon, .generation = s->generation, .amount = s->totals.amount };
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	o->epoch = redis_number_at(reply, 1);
	o->wait_ms = redis_number_at(reply, 3) ? SOLD_OUT_NOTICE_MS : 0;
	o->epoch_rose = redis_number_at(reply, 4) == 1;
	if (str_eq(redis_text_at(reply, 0), STR("OK"))) {
		FAULT(supply_told);
		return STATUS_OK;
	}
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
		redis_put_text(&c, "");
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
	put_word(&c, o->coupon, o->generation, &(struct word){ .pay_by_ms = -1, .epoch = o->epoch });
	stats_add(svc->stats, COUNT_scripts_total__supply, 1);
	redis_call(svc->redis_sync, a, &c, NULL);
}

static enum status put_on_sale(struct service *svc, struct arena *a, const struct supply *s, struct supply_opening *o)
{
	enum status status = raise_hub(svc, a, s, -1, o);
	if (status == STATUS_OK)
		clear_flags(svc, s, o);
	return status;
}

/* The sale clock, which only a sale with an end needs. */
static enum status read_clock(struct service *svc, struct arena *a, const struct supply *s, int64_t *now_ms)
{
	*now_ms = 0;
	return s->ends_ms ? sale_clock_read(svc, a, now_ms) : STATUS_OK;
}

static bool is_over(const struct sale_settings *s, int64_t now_ms)
{
	return steering_state_at(&s->steering, now_ms) >= SALE_ENDED;
}

/* What supply_repeat needs: the amount, and the entity tag. */
static struct str answer_of(struct arena *a, const struct supply_opening *o)
{
	return str_of(arena_printf(a, "%lld %.*s", (long long)o->amount, (int)o->etag.n, o->etag.p));
}

/* In a transaction. */
static enum status add_once(struct service *svc, struct arena *a, const struct supply_request *rq, int64_t coupon,
			    int64_t now_ms, struct supply_opening *o)
{
	struct sale_settings s;
	enum status status = settings_lock(svc, a, coupon, &s);
	if (status != STATUS_OK)
		return status;
	if (is_over(&s, now_ms))
		return STATUS_ENDED;
	if (!settings_match(a, &s, rq->if_match))
		return STATUS_PRECONDITION_FAILED;
	if (s.amount + rq->units > AMOUNT_MAX)
		return STATUS_BAD_FIELD;
	if (db_exec(svc->db, "UPDATE coupons SET amount = amount + ? WHERE id = ?", NULL, DB_N(rq->units),
		    DB_N(coupon)))
		return STATUS_INTERNAL;
	FAULT(supply_written);
	s.amount += rq->units;
	o->amount = s.amount;
	o->etag = settings_etag(a, &s);
	return request_key_write(svc, rq->key, answer_of(a, o), 0);
}

static enum status add_committed(struct service *svc, struct arena *a, const struct supply_request *rq, int64_t coupon,
				 int64_t now_ms, struct supply_opening *o)
{
	if (db_begin(svc->db))
		return db_status(svc->db, "supply");
	enum status status = add_once(svc, a, rq, coupon, now_ms, o);
	if (status == STATUS_INTERNAL || (status == STATUS_OK && db_commit(svc->db)))
		status = db_status(svc->db, "supply");
	if (status != STATUS_OK)
		db_rollback(svc->db);
	else
		FAULT(supply_counted);
	return status;
}

enum status supply_add(struct service *svc, struct arena *a, const struct supply_request *rq, struct supply_opening *o)
{
	struct supply s;
	struct supply_opening added = { 0 };
	int64_t now_ms = 0;
	enum status status = read_named(svc, a, rq, &s);
	if (status == STATUS_OK)
		status = read_clock(svc, a, &s, &now_ms);
	if (status == STATUS_OK)
		status = add_committed(svc, a, rq, s.coupon, now_ms, &added);
	if (status == STATUS_OK)
		status = read_named(svc, a, rq,
				    &s); /* the hub's total includes units that others have added meanwhile */
	if (status == STATUS_OK)
		status = put_on_sale(svc, a, &s, o);
	if (status == STATUS_OK)
		FAULT(supply_opening_waits);
	o->amount = added.amount;
	o->etag = added.etag;
	return status;
}

enum status supply_repeat(struct service *svc, struct arena *a, const struct supply_request *rq,
			  struct supply_opening *o)
{
	struct supply s;
	struct str etag = rq->key->answer, number;
	int64_t amount = 0;
	*o = (struct supply_opening){ 0 };
	if (!parse_split(&etag, ' ', &number) || !parse_int(number, 1, AMOUNT_MAX, &amount))
		return STATUS_INTERNAL;
	enum status status = read_named(svc, a, rq, &s);
	if (status == STATUS_OK)
		status = put_on_sale(svc, a, &s, o);
	o->amount = amount;
	o->etag = etag;
	return status == STATUS_NO_SUCH_COUPON ? STATUS_OK : status;
}

/* Reads the hub's totals. Numbers that this service did not write are read as 0. */
static enum status read_hub(struct service *svc, struct arena *a, int64_t coupon, struct supply_totals *t)
{
	static const char *const fields[] = { "amount", "cancelled", "final", "final_cancelled",
					      "pays",   "withdrawn", "missed" };
	int64_t *const numbers[] = { &t->amount, &t->cancelled, &t->final, &t->final_cancelled,
				     &t->pays,   &t->withdrawn, &t->missed };
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, coupon, 0);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		redis_put_text(&c, fields[i]);
	enum redis_outcome end = redis_call(svc->redis_sync, a, &c, &reply);
	if (end != REDIS_ANSWER && end != REDIS_BROKEN)
		return STATUS_UNAVAILABLE;
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (!redis_number_in(redis_at(reply, i), 0, numbers[i] == &t->missed ? NUMBER_MAX : AMOUNT_MAX,
				     numbers[i]))
			*numbers[i] = 0;
	return STATUS_OK;
}

int supply_raise(struct service *svc, int64_t coupon, int64_t amount)
{
	return db_exec(svc->db, "UPDATE coupons SET amount = GREATEST(amount, ?) WHERE id = ?", NULL, DB_N(amount),
		       DB_N(coupon));
}

/* The last assignment uses what the first two have set. */
int supply_raise_withdrawn(struct service *svc, int64_t coupon, int64_t withdrawn, int64_t missed)
{
	return db_exec(svc->db,
		       "UPDATE coupons SET withdrawn = GREATEST(withdrawn, ?), withdraw_missed = "
		       "GREATEST(withdraw_missed, ?), withdraw_asked = GREATEST(withdraw_asked, withdrawn + "
		       "withdraw_missed) WHERE id = ?",
		       NULL, DB_N(withdrawn), DB_N(missed), DB_N(coupon));
}

/* MySQL is asked after the hub, which is told a total when MySQL has it. */
enum status supply_check_mysql(struct service *svc, struct arena *a, int64_t coupon, bool *is_older)
{
	struct supply s;
	struct supply_totals hub;
	enum status status = read_hub(svc, a, coupon, &hub);
	if (status == STATUS_OK)
		status = read_published(svc, a, coupon, &s);
	*is_older = status == STATUS_OK && hub.cancelled > s.totals.cancelled;
	return status;
}

/* STATUS_OK; STATUS_BUSY: MySQL is older, so the coupon is to be closed by an inspection. */
static enum status refuse_older(struct service *svc, struct arena *a, const struct supply *s)
{
	bool is_older = false;
	enum status status = supply_check_mysql(svc, a, s->coupon, &is_older);
	if (!is_older)
		return status;
	log_error_limited("mysql_is_older", LOG_INT("coupon", s->coupon));
	worklist_inspect(svc->redis_sync, s->coupon, s->segments);
	return STATUS_BUSY;
}

bool supply_knows(const struct supply_totals *hub, const struct supply_totals *totals)
{
	return hub->amount >= totals->amount && hub->cancelled >= totals->cancelled && hub->final >= totals->final &&
	       hub->final_cancelled >= totals->final_cancelled && hub->pays >= totals->pays &&
	       hub->withdrawn >= totals->withdrawn && hub->missed >= totals->missed;
}

enum status supply_redo(struct service *svc, struct arena *a, int64_t coupon, struct supply_opening *o)
{
	struct supply s;
	struct supply_totals hub;
	*o = (struct supply_opening){ .coupon = coupon };
	enum status status = read_published(svc, a, coupon, &s);
	if (status == STATUS_OK)
		status = read_hub(svc, a, coupon, &hub);
	if (status != STATUS_OK)
		return status;
	if (hub.cancelled > s.totals.cancelled)
		status = refuse_older(svc, a, &s);
	if (status != STATUS_OK)
		return status;
	if (hub.amount > s.totals.amount && supply_raise(svc, coupon, hub.amount))
		return db_status(svc->db, "supply");
	if ((hub.withdrawn > s.totals.withdrawn || hub.missed > s.totals.missed) &&
	    supply_raise_withdrawn(svc, coupon, hub.withdrawn, hub.missed))
		return db_status(svc->db, "supply");
	if (supply_knows(&hub, &s.totals))
		return STATUS_OK;
	FAULT(supply_found);
	return put_on_sale(svc, a, &s, o);
}

/* When the first unpaid order of the coupon is due; 0: there is none. */
static int read_pay_by(struct service *svc, struct arena *a, int64_t coupon, int64_t *pay_by_ms)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT pay_by_ms FROM unpaid_orders WHERE coupon_id = ? ORDER BY pay_by_ms LIMIT 1",
		     &rows, DB_N(coupon)))
		return -1;
	*pay_by_ms = rows.count ? db_row(&rows, 0)[0].number : 0;
	return 0;
}

/* Whatever has changed since has set hub_told to 0 as well: every change of orders raises a total or `sold`. */
static enum status note_told(struct service *svc, const struct supply *s)
{
	const struct supply_totals *t = &s->totals;
	if (db_exec(svc->db,
		    "UPDATE coupons SET hub_told = 1 WHERE id = ? AND amount = ? AND cancelled = ? AND final = ? AND "
		    "final_cancelled = ? AND sold = ?",
		    NULL, DB_N(s->coupon), DB_N(t->amount), DB_N(t->cancelled), DB_N(t->final),
		    DB_N(t->final_cancelled), DB_N(s->sold)))
		return db_status(svc->db, "supply");
	return STATUS_OK;
}

/* An archived sale has no hub that could be told, for instance that its seller has cancelled an order. */
static enum status skip_archived(struct service *svc, int64_t coupon)
{
	int64_t changed = 0;
	if (db_exec(svc->db, "UPDATE coupons SET hub_told = 1 WHERE id = ? AND published = 2 AND hub_told = 0",
		    &changed, DB_N(coupon)))
		return db_status(svc->db, "supply");
	return changed ? STATUS_OK : STATUS_NO_SUCH_COUPON;
}

enum status supply_tell(struct service *svc, struct arena *a, int64_t coupon, struct supply_opening *o)
{
	struct supply s;
	int64_t pay_by_ms = 0;
	*o = (struct supply_opening){ .coupon = coupon };
	enum status status = read_published(svc, a, coupon, &s);
	if (status == STATUS_NO_SUCH_COUPON)
		return skip_archived(svc, coupon);
	if (status != STATUS_OK)
		return status;
	if (read_pay_by(svc, a, coupon, &pay_by_ms))
		return db_status(svc->db, "supply");
	status = raise_hub(svc, a, &s, pay_by_ms, o);
	if (status != STATUS_OK)
		return status;
	if (o->epoch_rose)
		clear_flags(svc, &s, o);
	return note_told(svc, &s);
}
