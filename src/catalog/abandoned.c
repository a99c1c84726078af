/*
 * A coupon cannot be claimed before its descriptor is written, and the descriptor is written after `published` is set.
 * The row is locked while Redis is searched and until the row is deleted, so that no process publishes the coupon
 * meanwhile. The MySQL accounts may delete coupons only through the view unpublished_coupons.
 */
#include "catalog/abandoned.h"

#include "base/clock.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/coupon.h"
#include "sale/db_status.h"
#include "sale/key.h"

enum { AGE_MS = 600000, PAGE = 16 };

/* Commands on the keys of one coupon, and what was found. */
struct look {
	struct service *svc;
	int64_t coupon;
	bool failed, found; /* found: a reply was a number other than 0 */
};

static void on_value(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct look *look = context;
	look->failed |= end != REDIS_ANSWER;
	look->found |= end == REDIS_ANSWER && redis_number(reply) != 0;
}

static void send_get(struct look *look, enum key key, int i, const char *field)
{
	struct redis_command c;
	redis_command(&c, "HGET");
	key_put(&c, key, look->coupon, i);
	redis_put_text(&c, field);
	redis_send(look->svc->redis_sync, &c, on_value, look);
}

static void send_del(struct look *look, enum key key, int i)
{
	struct redis_command c;
	redis_command(&c, "DEL");
	key_put(&c, key, look->coupon, i);
	redis_send(look->svc->redis_sync, &c, on_value, look);
}

enum status abandoned_look(struct service *svc, int64_t coupon, int segments)
{
	struct look look = { .svc = svc, .coupon = coupon };
	send_get(&look, KEY_DESCRIPTOR, 0, "id");
	for (int i = 0; i < segments; i++) {
		send_get(&look, KEY_SEGMENT, i, "sold");
		send_get(&look, KEY_SEGMENT, i, "n"); /* the name of "sold" before layout 2 */
	}
	redis_wait_all(svc->redis_sync);
	return look.failed ? STATUS_UNAVAILABLE : look.found ? STATUS_FENCED : STATUS_OK;
}

enum status abandoned_discard(struct service *svc, int64_t coupon, int segments)
{
	struct look look = { .svc = svc, .coupon = coupon };
	enum status s = abandoned_look(svc, coupon, segments);
	if (s != STATUS_OK)
		return s;
	send_del(&look, KEY_HUB, 0);
	for (int i = 0; i < segments; i++)
		send_del(&look, KEY_SEGMENT, i);
	redis_wait_all(svc->redis_sync);
	return look.failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

/* To be called in a transaction. STATUS_NO_SUCH_COUPON: the coupon was published or removed meanwhile. */
static enum status lock_and_delete(struct service *svc, struct arena *a, int64_t coupon, int segments)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT id FROM unpublished_coupons WHERE id = ? FOR UPDATE", &rows, DB_N(coupon)))
		return db_status(svc->db, "abandoned");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	enum status s = abandoned_look(svc, coupon, segments);
	if (s != STATUS_OK)
		return s;
	if (db_exec(svc->db, "DELETE FROM unpublished_coupons WHERE id = ?", NULL, DB_N(coupon)) ||
	    db_exec(svc->db, "DELETE FROM idempotency_keys WHERE coupon_id = ?", NULL, DB_N(coupon)) ||
	    db_commit(svc->db))
		return db_status(svc->db, "abandoned");
	FAULT(abandoned_deleted);
	/*
	 * The creator finds no row any more. If keys are left because Redis does not answer, strays_find removes them.
	 */
	abandoned_discard(svc, coupon, segments);
	return STATUS_OK;
}

static enum status remove_one(struct service *svc, struct arena *a, int64_t coupon, int segments)
{
	enum status s =
		db_begin_long(svc->db) ? db_status(svc->db, "abandoned") : lock_and_delete(svc, a, coupon, segments);
	if (s == STATUS_OK) {
		log_info("creation_removed", LOG_INT("coupon", coupon));
		return STATUS_OK;
	}
	db_rollback(svc->db);
	if (s == STATUS_FENCED)
		log_error("unpublished_coupon_was_sold", LOG_INT("coupon", coupon));
	return s == STATUS_FENCED || s == STATUS_NO_SUCH_COUPON ? STATUS_OK : s;
}

enum status abandoned_remove(struct service *svc, struct arena *a, int64_t *from)
{
	struct db_rows rows;
	int64_t after = *from;
	enum status s = STATUS_OK;
	*from = 0;
	if (db_query(svc->db, a,
		     "SELECT id, segments FROM unpublished_coupons c WHERE id > ? AND created_at_ms < ? "
		     "AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.coupon_id = c.id) "
		     "AND NOT EXISTS (SELECT 1 FROM drain_cursors d WHERE d.coupon_id = c.id) "
		     "AND NOT EXISTS (SELECT 1 FROM dead_letters l WHERE l.coupon_id = c.id) ORDER BY id LIMIT 16",
		     &rows, DB_N(after), DB_N(clock_ms() - AGE_MS)))
		return db_status(svc->db, "abandoned");
	for (int i = 0; i < rows.count && s == STATUS_OK; i++) {
		const struct db_value *v = db_row(&rows, i);
		int64_t segments;
		if (db_int(svc->db, &v[1], 1, SEGMENTS_MAX, &segments))
			return db_status(svc->db, "abandoned");
		s = remove_one(svc, a, v[0].number, (int)segments);
		if (s == STATUS_OK && rows.count == PAGE)
			*from = v[0].number;
	}
	return s;
}
