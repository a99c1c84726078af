#include "steer/steer.h"

#include "catalog/supply.h"
#include "host/fault.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/sale_clock.h"
#include "steer/finished.h"
#include "steer/rules.h"

/* Who waits for a lock loses its race only after half of mysql_timeout_s, so there are few attempts. */
enum { ATTEMPTS = 4 };

/* What the hub has, and the sale clock; of an archived sale only the clock. */
struct hub {
	struct steering steering;
	int64_t withdrawn, missed, now_ms;
	bool is_away;
};

static void on_hub(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct hub *h = context;
	h->is_away |= end != REDIS_ANSWER && end != REDIS_BROKEN;
	if (end != REDIS_ANSWER)
		return;
	h->steering = steering_read(redis_at(reply, 0), redis_at(reply, 1), redis_at(reply, 2), redis_at(reply, 3));
	if (!redis_number_in(redis_at(reply, 4), 0, NUMBER_MAX, &h->withdrawn) ||
	    !redis_number_in(redis_at(reply, 5), 0, NUMBER_MAX, &h->missed))
		h->missed = 0;
}

/* STATUS_OK, STATUS_UNAVAILABLE. */
static enum status read_hub(struct service *svc, struct arena *a, int64_t coupon, struct hub *h)
{
	static const char *const fields[] = { "version", "state", "t0", "t1", "withdrawn", "missed" };
	struct redis_command c;
	*h = (struct hub){ 0 };
	enum status s = sale_clock_read(svc, a, &h->now_ms);
	if (s != STATUS_OK)
		return s;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, coupon, 0);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		redis_put_text(&c, fields[i]);
	redis_send(svc->redis_sync, &c, on_hub, h);
	redis_wait_all(svc->redis_sync);
	return h->is_away ? STATUS_UNAVAILABLE : STATUS_OK;
}

static int64_t higher(int64_t one, int64_t other)
{
	return one > other ? one : other;
}

/* MySQL may have been restored from a backup that is older than what the hub was told: the hub is right. */
static void take_over(struct sale_settings *s, const struct hub *h)
{
	if (s->steering.state != SALE_ARCHIVED)
		steering_raise(&s->steering, &h->steering);
	s->withdrawn = higher(s->withdrawn, h->withdrawn);
	s->missed = higher(s->missed, h->missed);
	s->asked = higher(s->asked, s->withdrawn + s->missed);
}

static int write_settings(struct service *svc, const struct sale_settings *s)
{
	const struct steering *t = &s->steering;
	return db_exec(
		svc->db,
		"UPDATE coupons SET state = ?, state_version = ?, state_told = 0, starts_at_ms = ?, "
		"ends_at_ms = ?, description = ?, price = ?, withdrawn = ?, withdraw_asked = ?, withdraw_missed = ?, "
		"published = ? WHERE id = ?",
		NULL, DB_N(t->state), DB_N(t->version), DB_N(t->starts_ms), DB_N(t->ends_ms), DB_S(s->description),
		DB_N(s->price), DB_N(s->withdrawn), DB_N(s->asked), DB_N(s->missed),
		DB_N(t->state == SALE_ARCHIVED ? 2 : 1), DB_N(s->id));
}

struct attempt {
	const struct steer_change *change;
	const struct hub *hub;
	struct steer_result *result;
	bool lists_empty; /* to archive */
};

/* The statements of the transaction. STATUS_INTERNAL: the database has failed. */
static enum status decide(struct service *svc, struct arena *a, const struct attempt *t)
{
	struct steer_result *r = t->result;
	struct sale_settings *s = &r->settings;
	enum status status = settings_lock(svc, a, s->id, s);
	if (status != STATUS_OK)
		return status;
	FAULT(steer_locked);
	if (!settings_match(a, s, t->change->if_match))
		return STATUS_PRECONDITION_FAILED;
	bool is_archived = s->steering.state == SALE_ARCHIVED;
	take_over(s, t->hub);
	r->asked_before = s->asked;
	r->withdraw = t->change->withdraw;
	status = rules_apply(t->change, t->hub->now_ms, r);
	if (status == STATUS_OK && !is_archived && s->steering.state == SALE_ARCHIVED)
		status = finished_check(svc, a, r, t->lists_empty);
	if (status != STATUS_OK)
		return status;
	if (r->changed)
		s->steering.version++;
	r->changed |= r->withdraw > 0;
	if (r->changed && write_settings(svc, s))
		return STATUS_INTERNAL;
	FAULT(steer_written);
	return t->change->also ? t->change->also(svc, a, r, t->change->context) : STATUS_OK;
}

static enum status run_once(struct service *svc, struct arena *a, const struct attempt *t)
{
	if (db_begin(svc->db))
		return STATUS_INTERNAL;
	enum status s = decide(svc, a, t);
	if (s == STATUS_OK && db_commit(svc->db))
		s = STATUS_INTERNAL;
	if (s != STATUS_OK)
		db_rollback(svc->db);
	else
		FAULT(steer_committed);
	return s;
}

/* A deadlock and the like are tried again. A commit that may have happened is not, because `withdraw` adds. */
static enum status run(struct service *svc, struct arena *a, const struct attempt *t)
{
	enum status s = STATUS_INTERNAL;
	for (int i = 0; i < ATTEMPTS && s == STATUS_INTERNAL; i++) {
		s = run_once(svc, a, t);
		if (s == STATUS_INTERNAL && db_failure(svc->db) != DB_TRANSIENT)
			break;
	}
	return s == STATUS_INTERNAL ? db_status(svc->db, "steer") : s;
}

enum status steer_apply(struct service *svc, struct arena *a, const struct steer_change *change, struct steer_result *r)
{
	struct hub hub;
	struct attempt t = { .change = change, .hub = &hub, .result = r, .lists_empty = true };
	*r = (struct steer_result){ 0 };
	enum status s = settings_read(svc, a, change->seller_name, change->name, &r->settings);
	if (s == STATUS_OK)
		s = read_hub(svc, a, r->settings.id, &hub);
	if (s == STATUS_OK && change->has_state && change->state == SALE_ARCHIVED)
		s = finished_lists(svc, &r->settings, &t.lists_empty);
	return s == STATUS_OK ? run(svc, a, &t) : s;
}

int64_t steer_withdrew(const struct steer_result *r, const struct sale_settings *now)
{
	int64_t units = now->withdrawn + r->settings.missed - r->asked_before;
	units = units < r->withdraw ? units : r->withdraw;
	return units > 0 ? units : 0;
}

/* A change that came meanwhile has a higher version, or wants more units, and is not done. */
static enum status note_done(struct service *svc, const struct sale_settings *s)
{
	if (db_exec(svc->db,
		    "UPDATE coupons SET state_told = 1 WHERE id = ? AND state_version = ? AND state < ? AND "
		    "withdraw_asked = withdraw_missed + withdrawn",
		    NULL, DB_N(s->id), DB_N(s->steering.version), DB_N(SALE_ARCHIVED)))
		return db_status(svc->db, "steer");
	FAULT(steer_done);
	return STATUS_OK;
}

enum status steer_finish_within(struct service *svc, struct arena *a, const struct sale_settings *s, int patience_ms)
{
	if (s->is_told)
		return STATUS_OK;
	if (s->steering.state == SALE_ARCHIVED)
		return steer_archive(svc, a, s);
	enum status status = steer_tell(svc, a, s, patience_ms);
	if (status == STATUS_OK && s->asked > s->missed + s->withdrawn)
		status = steer_withdraw(svc, a, s, patience_ms);
	return status == STATUS_OK ? note_done(svc, s) : status;
}

enum status steer_finish(struct service *svc, struct arena *a, int64_t coupon, struct sale_settings *now)
{
	struct sale_settings s;
	enum status status = settings_read_id(svc, a, coupon, &s);
	if (status == STATUS_OK)
		status = steer_finish_within(svc, a, &s, STEER_PATIENCE_MS);
	if (status == STATUS_OK && now)
		status = settings_read_id(svc, a, coupon, now);
	return status;
}
