#include "catalog/launch.h"

#include "base/clock.h"
#include "base/random.h"
#include "catalog/abandoned.h"
#include "catalog/coupon_row.h"
#include "catalog/entries.h"
#include "host/fault.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/state.h"
#include "sale/worklist.h"

static int64_t at_most(int64_t number, int64_t most)
{
	return number < most ? number : most;
}

/*
 * Segments divide a sale among the masters of a cluster; several for each, so that there is something to move when a
 * master is added. One server decides the claims of one segment together, so it needs no more.
 */
static int64_t default_segments(struct service *svc, int64_t amount)
{
	enum { EACH_MASTER = 4, UNITS_EACH = 10 };
	if (svc->conf->segments)
		return svc->conf->segments;
	redis_wait_up(svc->redis_sync);
	int masters = redis_servers(svc->redis_sync);
	if (masters <= 1 || amount < UNITS_EACH)
		return masters ? 1 : 0;
	return at_most(EACH_MASTER * masters, amount / UNITS_EACH);
}

int launch_segments(struct service *svc, int64_t amount, int wanted)
{
	int64_t most = at_most(amount, svc->conf->segments_max);
	return (int)at_most(wanted ? wanted : default_segments(svc, amount), most);
}

/* Of a coupon with this id: how many segments the server with the most of them has. */
static int most_on_a_server(struct service *svc, struct arena *a, int64_t id, int segments)
{
	int *count = arena_alloc(a, ((size_t)redis_servers(svc->redis_sync) + 1) * sizeof *count), most = 0;
	memset(count, 0, ((size_t)redis_servers(svc->redis_sync) + 1) * sizeof *count);
	for (int i = 0; i < segments; i++) {
		char text[KEY_TEXT];
		int on_server = ++count[redis_server_of(svc->redis_sync, key_text(text, KEY_SEGMENT, id, i)) + 1];
		most = on_server > most ? on_server : most;
	}
	return most;
}

/* The id decides on which masters of a cluster the segments are: of some random ids, one that spreads them evenly. */
static int64_t choose_id(struct service *svc, struct arena *a, int segments)
{
	enum { DRAWS = 64 };
	int64_t best = random_id();
	int servers = redis_servers(svc->redis_sync), best_most = most_on_a_server(svc, a, best, segments);
	for (int i = 1; i < DRAWS && best_most * servers >= segments + servers; i++) {
		int64_t id = random_id();
		int most = most_on_a_server(svc, a, id, segments);
		if (most < best_most) {
			best = id;
			best_most = most;
		}
	}
	return best;
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
 * The segments start with equal shares of seven eighths of the stock; the hub grants the rest on request. With the
 * grants of exchange.lua and the returns of debit.lua, this share needs the fewest scripts per claim
 * (tests/model/simulate.c).
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

/* A sale that is not published yet has no seller who could have steered it. */
static void put_state(struct redis_command *cmd)
{
	redis_put_int(cmd, 0);
	redis_put_text(cmd, sale_state_name(SALE_OPEN));
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
	redis_put_int(&cmd, c->pay_within_s > 0);
	redis_put_int(&cmd, c->waits);
	redis_put_int(&cmd, c->starts_ms);
	redis_put_int(&cmd, c->ends_ms);
	put_state(&cmd);
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
	put_state(&cmd);
	return run_open(svc, a, &cmd);
}

/* The UPDATE changes no row if another request has published the coupon meanwhile, or a drainer has removed it. */
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
	abandoned_discard(svc, c->id, c->segments); /* slots that were made after the drainer had removed them */
	return STATUS_BUSY;
}

/*
 * Opens the sale of a coupon that has a row. `published` is written before the entries, so that a sale that can be
 * found is not created again.
 */
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
	return entries_write(svc, a, c);
}

/* MySQL */

static int find_row(struct service *svc, struct arena *a, struct str seller_name, struct str name, struct db_rows *rows)
{
	return db_query(svc->db, a,
			"SELECT " COUPON_COLUMNS " FROM coupons c JOIN users u ON u.id = c.seller_id "
			"WHERE u.name = ? AND c.name = ?",
			rows, DB_S(seller_name), DB_S(name));
}

static int insert(struct service *svc, struct arena *a, struct coupon *c)
{
	c->generation = 1;
	c->created_ms = clock_ms();
	c->id = choose_id(svc, a, c->segments);
	random_bytes(c->hash_key, SIPHASH_KEY);
	struct str key = { (const char *)c->hash_key, SIPHASH_KEY };
	if (db_exec(svc->db,
		    "INSERT INTO coupons (id, seller_id, name, amount, stock, description, starts_at_ms, ends_at_ms, "
		    "segments, pay_within_s, price, currency, checkout_url, late_payment, unit_limit, waiting_list, "
		    "hash_key, "
		    "generation, created_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    NULL, DB_N(c->id), DB_N(c->seller), DB_S(c->name), DB_N(c->amount), DB_N(c->face_value),
		    DB_S(c->description), DB_N(c->starts_ms), DB_N(c->ends_ms), DB_N(c->segments),
		    DB_N(c->pay_within_s), DB_N(c->price), DB_S(c->currency), DB_S(c->checkout_url),
		    DB_N(c->late_payment), DB_N(c->limit), DB_N(c->waits), DB_S(key), DB_N(c->generation),
		    DB_N(c->created_ms)))
		return -1;
	return 0;
}

/* STATUS_DUPLICATE_COUPON: the name is taken. */
static enum status insert_counted(struct service *svc, struct arena *a, struct coupon *c, const struct request_key *key,
				  struct refusal *r)
{
	enum status s;
	if (db_begin(svc->db) || quota_lock(svc->db, a, c->seller) || insert(svc, a, c))
		s = db_failure(svc->db) == DB_DUPLICATE ? STATUS_DUPLICATE_COUPON : db_status(svc->db, "create");
	else
		s = quota_check(svc, a, c->seller, r);
	if (s == STATUS_OK)
		s = quota_check_memory(svc, a, r);
	if (s == STATUS_OK) {
		s = request_key_write(svc, key, STR(""), c->id);
		if (s == STATUS_INTERNAL || (s == STATUS_OK && db_commit(svc->db)))
			s = db_status(svc->db, "create");
	}
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

/* Writes the key of a request that goes on with the creation of another one. The row cannot be removed meanwhile. */
static enum status adopt(struct service *svc, struct arena *a, const struct coupon *c, const struct request_key *key)
{
	struct db_rows rows;
	enum status s = STATUS_INTERNAL;
	if (!key || !key->key.n)
		return STATUS_OK;
	if (db_begin(svc->db) == 0 &&
	    db_query(svc->db, a, "SELECT id FROM coupons WHERE id = ? FOR UPDATE", &rows, DB_N(c->id)) == 0)
		s = rows.count ? request_key_write(svc, key, STR(""), c->id) : STATUS_NO_SUCH_COUPON;
	if (s == STATUS_INTERNAL || (s == STATUS_OK && db_commit(svc->db)))
		s = db_status(svc->db, "create");
	if (s != STATUS_OK)
		db_rollback(svc->db);
	return s;
}

/*
 * The name or the id exists. Finishes the creation of this name if it was interrupted. STATUS_NO_SUCH_COUPON: the name
 * does not exist: another coupon has the id, or a drainer has just removed the row.
 */
static enum status resume(struct service *svc, struct arena *a, const struct coupon *wanted,
			  const struct request_key *key)
{
	struct db_rows rows;
	struct coupon c = { 0 };
	bool published;
	if (find_row(svc, a, wanted->seller_name, wanted->name, &rows))
		return db_status(svc->db, "create");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (coupon_row_read(svc->db, &c, db_row(&rows, 0), &published))
		return db_status(svc->db, "create");
	if (coupon_row_is_archived(db_row(&rows, 0)))
		return STATUS_DUPLICATE_COUPON;
	if (published && check_hub(svc, a, &c) == STATUS_OK)
		entries_write(svc, a, &c); /* the creation may have been interrupted before the entries were written */
	if (published || c.amount != wanted->amount || !coupon_same_terms(&c, wanted))
		return STATUS_DUPLICATE_COUPON;
	enum status s = adopt(svc, a, &c, key);
	return s == STATUS_OK ? publish(svc, a, &c) : s;
}

static enum status create_locked(struct service *svc, struct arena *a, struct coupon *c, const struct request_key *key,
				 struct refusal *r)
{
	enum { TRIES = 3 };
	for (int i = 0; i < TRIES; i++) {
		enum status s = insert_counted(svc, a, c, key, r);
		FAULT(create_inserted);
		if (s == STATUS_OK)
			return publish(svc, a, c);
		if (s == STATUS_DUPLICATE_COUPON)
			s = resume(svc, a, c, key);
		if (s != STATUS_NO_SUCH_COUPON)
			return s;
	}
	return STATUS_BUSY;
}

/* The lock allows one creation of a name at a time, so a row that is not published is of an interrupted creation. */
enum status launch_create(struct service *svc, struct arena *a, struct coupon *c, const struct request_key *key,
			  struct refusal *r)
{
	enum { LOCK_S = 5 };
	bool got;
	struct str lock =
		str_of(arena_printf(a, "seckill.%lld.%lld", (long long)c->seller, (long long)key_hash(c->name)));
	if (db_lock(svc->db, a, lock, LOCK_S, &got))
		return db_status(svc->db, "create");
	if (!got)
		return STATUS_BUSY;
	enum status s = create_locked(svc, a, c, key, r);
	db_unlock(svc->db, a, lock);
	return s == STATUS_OK ? STATUS_CREATED : s;
}

/* *was_published: the sale was on sale before. */
static enum status heal(struct service *svc, struct arena *a, struct str seller_name, struct str name,
			bool *was_published)
{
	struct db_rows rows;
	struct coupon c = { 0 };
	*was_published = false;
	if (find_row(svc, a, seller_name, name, &rows))
		return db_status(svc->db, "heal");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	if (coupon_row_read(svc->db, &c, db_row(&rows, 0), was_published))
		return db_status(svc->db, "heal");
	if (coupon_row_is_archived(db_row(&rows, 0)))
		return STATUS_ENDED;
	if (!*was_published)
		return publish(svc, a, &c);
	enum status s = check_hub(svc, a, &c);
	return s == STATUS_OK ? entries_write(svc, a, &c) : s;
}

enum status launch_heal(struct service *svc, struct arena *a, struct str seller_name, struct str name)
{
	bool was_published;
	return heal(svc, a, seller_name, name, &was_published);
}

enum status launch_repeat(struct service *svc, struct arena *a, struct str seller_name, struct str name)
{
	bool was_published;
	enum status s = heal(svc, a, seller_name, name, &was_published);
	if (s == STATUS_NO_SUCH_COUPON)
		return STATUS_BUSY;
	bool was_created = s == STATUS_OK || s == STATUS_ENDED || (s == STATUS_FENCED && was_published);
	return was_created ? STATUS_CREATED : s;
}
