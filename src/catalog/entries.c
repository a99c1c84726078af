#include "catalog/entries.h"

#include "base/clock.h"
#include "catalog/coupon_row.h"
#include "catalog/stray.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/catalog_index.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/seller_index.h"
#include "stock/sold_out.h"

static enum status run(struct service *svc, struct arena *a, const struct redis_command *cmd)
{
	return redis_call(svc->redis_sync, a, cmd, NULL) == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}

static enum status describe(struct service *svc, struct arena *a, const struct coupon *c)
{
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = { { "id", c->id },
			{ "waits", c->waits },
			{ "seller", c->seller },
			{ "amount", c->amount },
			{ "stock", c->face_value },
			{ "t0", c->starts_ms },
			{ "t1", c->ends_ms },
			{ "created", c->created_ms },
			{ "pay", c->pay_within_s },
			{ "segments", c->segments },
			{ "price", c->price },
			{ "late", c->late_payment },
			{ "limit", c->limit } };
	const struct {
		const char *name;
		struct str value;
	} texts[] = { { "seller_name", c->seller_name },
		      { "name", c->name },
		      { "key", { (const char *)c->hash_key, SIPHASH_KEY } },
		      { "description", c->description },
		      { "currency", c->currency },
		      { "checkout", c->checkout_url } };
	struct redis_command cmd;
	redis_script(&cmd, &script_describe, 1);
	key_put(&cmd, KEY_DESCRIPTOR, c->id, 0);
	redis_put_int(&cmd, c->generation);
	redis_put_int(&cmd, c->version);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		redis_put_text(&cmd, numbers[i].name);
		redis_put_int(&cmd, numbers[i].value);
	}
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		redis_put_text(&cmd, texts[i].name);
		redis_put(&cmd, texts[i].value);
	}
	return run(svc, a, &cmd);
}

enum status entries_describe(struct service *svc, struct arena *a, int64_t coupon)
{
	struct db_rows rows;
	struct coupon c = { 0 };
	bool published;
	if (db_query(svc->db, a,
		     "SELECT " COUPON_COLUMNS " FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(coupon)))
		return db_status(svc->db, "describe");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (coupon_row_read(svc->db, &c, db_row(&rows, 0), &published))
		return db_status(svc->db, "describe");
	return describe(svc, a, &c);
}

static enum status list_of_seller(struct service *svc, struct arena *a, const struct coupon *c)
{
	struct redis_command cmd;
	redis_command(&cmd, "ZADD");
	key_put(&cmd, KEY_SELLER, c->seller, 0);
	redis_put_int(&cmd, c->created_ms);
	redis_put_int(&cmd, c->id);
	return run(svc, a, &cmd);
}

/* A login enters the seller, too, but the entry is missing if Redis has lost its data since then. */
static enum status enter_seller(struct service *svc, struct arena *a, const struct coupon *c)
{
	(void)a;
	return seller_index_add(svc, c->seller_name, c->seller);
}

/*
 * The catalog names another coupon than c. If MySQL has only c, the other one is a stray, which MySQL lost when it was
 * restored from a backup: the stray is closed. If MySQL does not have c, c was lost meanwhile.
 */
static enum status replace(struct service *svc, struct arena *a, const struct coupon *c, int64_t other)
{
	struct stray s;
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT id FROM coupons WHERE id IN (?, ?)", &rows, DB_N(c->id), DB_N(other)))
		return db_status(svc->db, "publish");
	if (rows.count != 1 || rows.values[0].number != c->id)
		return STATUS_NO_SUCH_COUPON;
	enum status status = stray_read(svc, a, other, &s);
	if (status == STATUS_OK)
		status = stray_close(svc, a, &s);
	if (status == STATUS_OK)
		sold_out_outlast(clock_mono_ms());
	log_warn("coupon_replaced", LOG_INT("coupon", c->id), LOG_INT("forgotten", other));
	return status;
}

static enum status list_by_name(struct service *svc, struct arena *a, const struct coupon *c)
{
	struct redis_command cmd;
	const struct redis_reply *there = NULL;
	catalog_find(&cmd, c->seller_name, c->name);
	if (redis_call(svc->redis_sync, a, &cmd, &there) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	int64_t other = redis_number(there);
	enum status s = other && other != c->id ? replace(svc, a, c, other) : STATUS_OK;
	if (s != STATUS_OK)
		return s;
	catalog_enter(&cmd, c->seller_name, c->name, c->id);
	return run(svc, a, &cmd);
}

/* The catalog comes last, so that the seller's list has the coupon before a claim can find it. */
enum status entries_write(struct service *svc, struct arena *a, const struct coupon *c)
{
	static enum status (*const steps[])(struct service *, struct arena *,
					    const struct coupon *) = { describe, enter_seller, list_of_seller,
								       list_by_name };
	enum status s = STATUS_OK;
	for (size_t i = 0; s == STATUS_OK && i < sizeof steps / sizeof steps[0]; i++) {
		FAULT(create_entering);
		s = steps[i](svc, a, c);
	}
	FAULT(create_entered);
	return s;
}
