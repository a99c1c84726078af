#include "catalog/publish.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/random.h"
#include "catalog/abandoned.h"
#include "catalog/stray.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/seller_index.h"
#include "sale/worklist.h"
#include "stock/sold_out.h"

static int64_t at_most(int64_t number, int64_t most)
{
	return number < most ? number : most;
}

static int64_t default_segments(const struct conf *conf, int64_t amount)
{
	enum { UNITS_EACH = 10, MOST = 16 };
	if (conf->segments)
		return conf->segments;
	return amount < UNITS_EACH ? 1 : at_most(amount / UNITS_EACH, MOST);
}

int publish_segments(const struct conf *conf, int64_t amount, int wanted)
{
	return (int)at_most(wanted ? wanted : default_segments(conf, amount), at_most(amount, conf->segments_max));
}

int publish_row(struct db *db, struct coupon *c, const struct db_value *row, bool *published)
{
	int64_t segments;
	if (db_int(db, &row[0], 1, NUMBER_MAX, &c->id) || db_int(db, &row[9], 1, SEGMENTS_MAX, &segments) ||
	    db_int(db, &row[12], 1, NUMBER_MAX, &c->generation))
		return -1;
	c->seller = row[1].number;
	c->seller_name = row[2].text;
	c->name = row[3].text;
	c->description = row[4].text;
	c->amount = row[5].number;
	c->stock = row[6].number;
	c->starts_ms = row[7].number;
	c->ends_ms = row[8].number;
	c->segments = (int)segments;
	c->pay_within_s = row[10].number;
	memcpy(c->hash_key, row[11].text.p, row[11].text.n < SIPHASH_KEY ? row[11].text.n : SIPHASH_KEY);
	c->created_ms = row[13].number;
	*published = row[14].number != 0;
	return 0;
}

/* Redis */

static enum status run_open(struct service *svc, struct arena *a, const struct redis_command *cmd)
{
	const struct redis_reply *reply = NULL;
	enum redis_outcome end = redis_call(svc->redis_sync, a, cmd, &reply);
	if (end != REDIS_ANSWER)
		return end == REDIS_BROKEN ? STATUS_FENCED : STATUS_UNAVAILABLE;
	return str_eq(redis_text_at(reply, 0), STR("OK")) ? STATUS_OK : STATUS_FENCED;
}

/*
 * Seven eighths of the stock start in the segments, evenly; the hub hands out the rest where it is asked for. With
 * the chunks of exchange.lua and the returns of debit.lua this needs the fewest scripts a claim:
 * tests/model/simulate.c.
 */
static int64_t first_share(const struct coupon *c)
{
	return c->amount * 7 / 8;
}

static int64_t first_grant(const struct coupon *c, int segment)
{
	int64_t share = first_share(c);
	return share / c->segments + (segment < share % c->segments);
}

static enum status open_hub(struct service *svc, struct arena *a, const struct coupon *c)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_open_hub, 1);
	key_put(&cmd, KEY_HUB, c->id, 0);
	fence_put(&cmd, c->generation);
	redis_put_int(&cmd, c->amount);
	redis_put_int(&cmd, c->segments);
	redis_put_int(&cmd, first_share(c) / c->segments);
	redis_put_int(&cmd, first_share(c) % c->segments);
	return run_open(svc, a, &cmd);
}

static enum status open_segment(struct service *svc, struct arena *a, const struct coupon *c, int i)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_open_segment, 1);
	key_put(&cmd, KEY_SEGMENT, c->id, i);
	fence_put(&cmd, c->generation);
	redis_put_int(&cmd, c->starts_ms);
	redis_put_int(&cmd, c->ends_ms);
	redis_put_int(&cmd, first_grant(c, i));
	return run_open(svc, a, &cmd);
}

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
			{ "seller", c->seller },
			{ "amount", c->amount },
			{ "stock", c->stock },
			{ "t0", c->starts_ms },
			{ "t1", c->ends_ms },
			{ "created", c->created_ms },
			{ "pay", c->pay_within_s },
			{ "segments", c->segments } };
	const struct {
		const char *name;
		struct str value;
	} texts[] = { { "seller_name", c->seller_name },
		      { "name", c->name },
		      { "key", { (const char *)c->hash_key, SIPHASH_KEY } },
		      { "description", c->description } };
	struct redis_command cmd;
	redis_script(&cmd, &script_describe, 1);
	key_put(&cmd, KEY_DESCRIPTOR, c->id, 0);
	redis_put_int(&cmd, c->generation);
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

static enum status list_of_seller(struct service *svc, struct arena *a, const struct coupon *c)
{
	struct redis_command cmd;
	redis_command(&cmd, "ZADD");
	key_put(&cmd, KEY_SELLER, c->seller, 0);
	redis_put_int(&cmd, c->created_ms);
	redis_put_int(&cmd, c->id);
	return run(svc, a, &cmd);
}

/* Entered at the seller's login, too; missing when Redis was lost since. */
static enum status enter_seller(struct service *svc, struct arena *a, const struct coupon *c)
{
	(void)a;
	return seller_index_add(svc, c->seller_name, c->seller);
}

/*
 * The catalog names another coupon: one that MySQL forgot when it was restored from a backup, and which sells nothing
 * any more from now on. But when MySQL does not know ours, we come late, and it is ours that was forgotten.
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
	struct buf path;
	buf_init(&path, a);
	buf_put(&path, c->seller_name);
	buf_put(&path, STR("/"));
	buf_put(&path, c->name);
	const struct redis_reply *there = NULL;
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_CATALOG, key_bucket(buf_str(&path)), 0);
	redis_put(&cmd, buf_str(&path));
	if (redis_call(svc->redis_sync, a, &cmd, &there) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	int64_t other = redis_number(there);
	enum status s = other && other != c->id ? replace(svc, a, c, other) : STATUS_OK;
	if (s != STATUS_OK)
		return s;
	redis_command(&cmd, "HSET");
	key_put(&cmd, KEY_CATALOG, key_bucket(buf_str(&path)), 0);
	redis_put(&cmd, buf_str(&path));
	redis_put_int(&cmd, c->id);
	return run(svc, a, &cmd);
}

/* What is read, not counted. In this order: the seller's list learns of the coupon before a claim can.
 */
enum status publish_enter(struct service *svc, struct arena *a, const struct coupon *c)
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

/* When nothing changes, another request has published it meanwhile, or a drainer has removed it. */
static enum status mark_published(struct service *svc, struct arena *a, const struct coupon *c)
{
	struct db_rows rows;
	int64_t changed = 0;
	if (db_exec(svc->db, "UPDATE coupons SET published = 1 WHERE id = ?", &changed, DB_N(c->id)))
		return db_status(svc->db, "publish");
	if (changed)
		return STATUS_OK;
	if (db_query(svc->db, a, "SELECT id FROM coupons WHERE id = ?", &rows, DB_N(c->id)))
		return db_status(svc->db, "publish");
	if (rows.count)
		return STATUS_OK;
	abandoned_discard(svc, c->id, c->segments); /* what was made after the drainer had been there */
	return STATUS_BUSY;
}

/* From a row to an open sale. `published` is written before the catalog: a sale that anyone could find is never made
 * anew. */
static enum status publish(struct service *svc, struct arena *a, const struct coupon *c)
{
	enum status s = open_hub(svc, a, c);
	FAULT(create_hub);
	for (int i = 0; s == STATUS_OK && i < c->segments; i++) {
		s = open_segment(svc, a, c, i);
		FAULT(create_segment);
	}
	if (s != STATUS_OK)
		return s;
	s = mark_published(svc, a, c);
	if (s != STATUS_OK)
		return s;
	FAULT(create_published);
	return publish_enter(svc, a, c);
}

/* MySQL */

static int find_row(struct service *svc, struct arena *a, struct str seller_name, struct str name, struct db_rows *rows)
{
	return db_query(svc->db, a,
			"SELECT " PUBLISH_COLUMNS " FROM coupons c JOIN users u ON u.id = c.seller_id "
			"WHERE u.name = ? AND c.name = ?",
			rows, DB_S(seller_name), DB_S(name));
}

static int insert(struct service *svc, struct coupon *c)
{
	c->generation = 1;
	c->created_ms = clock_ms();
	c->id = random_id();
	random_bytes(c->hash_key, SIPHASH_KEY);
	struct str key = { (const char *)c->hash_key, SIPHASH_KEY };
	if (db_exec(svc->db,
		    "INSERT INTO coupons (id, seller_id, name, amount, stock, description, starts_at_ms, ends_at_ms, "
		    "segments, pay_within_s, hash_key, generation, created_at_ms) "
		    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    NULL, DB_N(c->id), DB_N(c->seller), DB_S(c->name), DB_N(c->amount), DB_N(c->stock),
		    DB_S(c->description), DB_N(c->starts_ms), DB_N(c->ends_ms), DB_N(c->segments),
		    DB_N(c->pay_within_s), DB_S(key), DB_N(c->generation), DB_N(c->created_ms)))
		return -1;
	return 0;
}

/* STATUS_DUPLICATE_COUPON: the name is taken. */
static enum status insert_counted(struct service *svc, struct arena *a, struct coupon *c, struct refusal *r)
{
	enum status s;
	if (db_begin(svc->db) || quota_lock(svc->db, a, c->seller) || insert(svc, c))
		s = db_failure(svc->db) == DB_DUPLICATE ? STATUS_DUPLICATE_COUPON : db_status(svc->db, "create");
	else
		s = quota_check(svc, a, c->seller, r);
	if (s == STATUS_OK)
		s = quota_check_memory(svc, a, r);
	if (s == STATUS_OK && db_commit(svc->db))
		s = db_status(svc->db, "create");
	if (s != STATUS_OK)
		db_rollback(svc->db);
	return s;
}

static enum status check_hub(struct service *svc, struct arena *a, const struct coupon *c)
{
	struct redis_command cmd;
	const struct redis_reply *fence;
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_HUB, c->id, 0);
	redis_put_text(&cmd, "fence");
	if (redis_call(svc->redis_sync, a, &cmd, &fence) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	if (fence_generation(redis_text(fence)) == c->generation)
		return STATUS_OK;
	worklist_inspect(svc->redis_sync, c->id, c->segments);
	return STATUS_FENCED;
}

/* Every member that was asked for: another answer than "duplicate" would promise a sale that is not there. */
static bool is_same(const struct coupon *a, const struct coupon *b)
{
	return a->amount == b->amount && a->stock == b->stock && a->starts_ms == b->starts_ms &&
	       a->ends_ms == b->ends_ms && a->segments == b->segments && a->pay_within_s == b->pay_within_s &&
	       str_eq(a->description, b->description);
}

/*
 * The name exists: it is ours to finish when its creation died before anyone could find it. STATUS_NO_SUCH_COUPON: it
 * does not exist, so another coupon has the id, or a drainer has just removed the row.
 */
static enum status resume(struct service *svc, struct arena *a, const struct coupon *wanted)
{
	struct db_rows rows;
	struct coupon c = { 0 };
	bool published;
	if (find_row(svc, a, wanted->seller_name, wanted->name, &rows))
		return db_status(svc->db, "create");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (publish_row(svc->db, &c, db_row(&rows, 0), &published))
		return db_status(svc->db, "create");
	if (published && check_hub(svc, a, &c) == STATUS_OK)
		publish_enter(svc, a, &c); /* its first creation may have died right before that */
	if (published || !is_same(&c, wanted))
		return STATUS_DUPLICATE_COUPON;
	return publish(svc, a, &c);
}

static enum status create_locked(struct service *svc, struct arena *a, struct coupon *c, struct refusal *r)
{
	enum { TRIES = 3 };
	for (int i = 0; i < TRIES; i++) {
		enum status s = insert_counted(svc, a, c, r);
		FAULT(create_inserted);
		if (s == STATUS_OK)
			return publish(svc, a, c);
		if (s == STATUS_DUPLICATE_COUPON)
			s = resume(svc, a, c);
		if (s != STATUS_NO_SUCH_COUPON)
			return s;
	}
	return STATUS_BUSY;
}

/* One creation of a name at a time: a row that is not published yet is either being made, or was left behind. */
enum status publish_create(struct service *svc, struct arena *a, struct coupon *c, struct refusal *r)
{
	enum { LOCK_S = 5 };
	struct db_rows got, released;
	struct str lock =
		str_of(arena_printf(a, "seckill.%lld.%lld", (long long)c->seller, (long long)key_hash(c->name)));
	if (db_query_row(svc->db, a, "SELECT GET_LOCK(?, ?)", &got, DB_S(lock), DB_N(LOCK_S)))
		return db_status(svc->db, "create");
	if (db_row(&got, 0)->number != 1)
		return STATUS_BUSY;
	enum status s = create_locked(svc, a, c, r);
	if (db_query(svc->db, a, "SELECT RELEASE_LOCK(?)", &released, DB_S(lock)))
		db_close(svc->db); /* which releases it too */
	return s == STATUS_OK ? STATUS_CREATED : s;
}

enum status publish_heal(struct service *svc, struct arena *a, struct str seller_name, struct str name)
{
	struct db_rows rows;
	struct coupon c = { 0 };
	bool published;
	if (find_row(svc, a, seller_name, name, &rows))
		return db_status(svc->db, "heal");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (publish_row(svc->db, &c, db_row(&rows, 0), &published))
		return db_status(svc->db, "heal");
	if (!published)
		return publish(svc, a, &c);
	enum status s = check_hub(svc, a, &c);
	return s == STATUS_OK ? publish_enter(svc, a, &c) : s;
}
