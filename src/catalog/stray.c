#include "catalog/stray.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "catalog/abandoned.h"
#include "host/log.h"
#include "sale/coupon.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/scan.h"
#include "sale/scripts.h"
#include "sale/worklist.h"

/* The ids of all coupons that Redis or order rows name */

struct ids {
	int64_t *at;
	int count, capacity;
};

static void add_id(struct ids *ids, int64_t id)
{
	if (ids->count == ids->capacity) {
		ids->capacity = ids->capacity ? 2 * ids->capacity : 64;
		ids->at = alloc_again(ids->at, (size_t)ids->capacity * sizeof *ids->at);
	}
	ids->at[ids->count++] = id;
}

static int by_number(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
	return (a > b) - (a < b);
}

static void sort_unique(struct ids *ids)
{
	int kept = 0;
	if (ids->count)
		qsort(ids->at, (size_t)ids->count, sizeof *ids->at, by_number);
	for (int i = 0; i < ids->count; i++)
		if (!kept || ids->at[kept - 1] != ids->at[i])
			ids->at[kept++] = ids->at[i];
	ids->count = kept;
}

/* "sk:{12:h}:hub" or "sk:{12:h}:d" */
static void take_key(void *context, struct arena *page, struct str key)
{
	struct str rest = key, piece;
	int64_t id;
	(void)page;
	if (parse_split(&rest, '{', &piece) && parse_split(&rest, ':', &piece) &&
	    parse_int(piece, 1, NUMBER_MAX, &id) && (str_eq(rest, STR("h}:hub")) || str_eq(rest, STR("h}:d"))))
		add_id(context, id);
}

static enum status read_key_ids(struct service *svc, struct ids *ids)
{
	redis_wait_up(svc->redis_sync);
	if (!redis_servers(svc->redis_sync))
		return STATUS_UNAVAILABLE;
	return keys_scan(svc, &(struct key_scan){ .pattern = "sk:{*:h}:*", .see = take_key, .context = ids });
}

/* Jumps from coupon to coupon along the primary key, so that the cost does not depend on the number of orders. */
static enum status read_order_ids(struct service *svc, struct ids *ids)
{
	struct arena a = { 0 };
	struct db_rows rows;
	int64_t last = 0;
	int failed;
	do {
		arena_reset(&a);
		failed = db_query(svc->db, &a,
				  "SELECT coupon_id FROM orders WHERE coupon_id > ? ORDER BY coupon_id LIMIT 1", &rows,
				  DB_N(last));
		if (!failed && rows.count)
			add_id(ids, last = db_row(&rows, 0)->number);
	} while (!failed && rows.count);
	arena_release(&a);
	return failed ? db_status(svc->db, "strays") : STATUS_OK;
}

/* Removes ids that MySQL has. The list of ids is padded with the last id, so that one statement is prepared. */
static enum status keep_unknown(struct service *svc, struct ids *ids)
{
	enum { SOME = 64 };
	struct arena a = { 0 };
	struct buf sql;
	int kept = 0, failed = 0;
	for (int from = 0; !failed && from < ids->count; from += SOME) {
		struct db_rows rows;
		struct db_value v[SOME];
		int n = ids->count - from < SOME ? ids->count - from : SOME;
		arena_reset(&a);
		buf_init(&sql, &a);
		buf_puts(&sql, "SELECT id FROM coupons WHERE id IN (");
		for (int i = 0; i < SOME; i++) {
			buf_puts(&sql, i ? ", ?" : "?");
			v[i] = DB_N(ids->at[from + (i < n ? i : n - 1)]);
		}
		buf_puts(&sql, ") ORDER BY id");
		failed = db_query_params(svc->db, &a, sql.p, &rows, v, SOME);
		for (int i = 0, k = 0; !failed && i < n; i++) {
			while (k < rows.count && db_row(&rows, k)->number < ids->at[from + i])
				k++;
			if (k == rows.count || db_row(&rows, k)->number != ids->at[from + i])
				ids->at[kept++] = ids->at[from + i];
		}
	}
	ids->count = kept;
	arena_release(&a);
	return failed ? db_status(svc->db, "strays") : STATUS_OK;
}

/*
 * True: it was an abandoned creation whose row was removed and whose slots were left over; now they are removed, too.
 */
static bool remove_left_over(struct service *svc, const struct stray *s)
{
	return !s->name.n && !s->sold && !s->queued && !s->rows &&
	       abandoned_discard(svc, s->coupon, s->segments) == STATUS_OK;
}

enum status strays_find(struct service *svc, struct arena *a, struct stray **strays, int *count)
{
	struct ids ids = { 0 };
	enum status s = read_key_ids(svc, &ids);
	if (s == STATUS_OK)
		s = read_order_ids(svc, &ids);
	sort_unique(&ids);
	if (s == STATUS_OK)
		s = keep_unknown(svc, &ids);
	*strays = arena_alloc(a, (size_t)(ids.count + 1) * sizeof **strays);
	for (int i = *count = 0; s == STATUS_OK && i < ids.count; i++) {
		s = stray_read(svc, a, ids.at[i], &(*strays)[*count]);
		*count += s == STATUS_OK && !remove_left_over(svc, &(*strays)[*count]);
	}
	free(ids.at);
	return s;
}

/* One stray */

static const struct redis_reply *call(struct service *svc, struct arena *a, const struct redis_command *c,
				      enum status *s)
{
	const struct redis_reply *reply = NULL;
	if (*s == STATUS_OK && redis_call(svc->redis_sync, a, c, &reply) != REDIS_ANSWER)
		*s = STATUS_UNAVAILABLE;
	return reply;
}

static int64_t bounded(int64_t segments)
{
	return segments > 0 && segments <= SEGMENTS_MAX ? segments : 0;
}

/* "?" in place of a text that is not a name, because it is shown to operators. */
static struct str name_in(const struct redis_reply *reply, size_t i)
{
	struct str name = redis_text_at(reply, i);
	return !name.n || parse_is_name(name) ? name : STR("?");
}

enum status stray_names(struct service *svc, struct arena *a, int64_t coupon, struct stray *s)
{
	*s = (struct stray){ .coupon = coupon };
	struct redis_command c;
	enum status status = STATUS_OK;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_DESCRIPTOR, s->coupon, 0);
	redis_put_text(&c, "seller_name");
	redis_put_text(&c, "name");
	redis_put_text(&c, "segments");
	const struct redis_reply *reply = call(svc, a, &c, &status);
	s->seller_name = name_in(reply, 0);
	s->name = name_in(reply, 1);
	s->segments = (int)bounded(redis_number_at(reply, 2));
	redis_command(&c, "HGET");
	key_put(&c, KEY_HUB, s->coupon, 0);
	redis_put_text(&c, "segments");
	if (!s->segments)
		s->segments = (int)bounded(redis_number(call(svc, a, &c, &status)));
	return status;
}

enum status stray_read(struct service *svc, struct arena *a, int64_t coupon, struct stray *s)
{
	struct redis_command c;
	struct db_rows rows;
	enum status status = stray_names(svc, a, coupon, s);
	for (int i = 0; status == STATUS_OK && i < s->segments; i++) {
		redis_command(&c, "HMGET");
		key_put(&c, KEY_SEGMENT, coupon, i);
		redis_put_text(&c, "sold");
		redis_put_text(&c, "n"); /* the name of "sold" before layout 2 */
		const struct redis_reply *sold = call(svc, a, &c, &status);
		s->sold += redis_number_at(sold, 0) + redis_number_at(sold, 1);
		redis_command(&c, "LLEN");
		key_put(&c, KEY_ORDERS, coupon, i);
		s->queued += redis_number(call(svc, a, &c, &status));
	}
	if (status != STATUS_OK)
		return status;
	if (db_query_row(svc->db, a, "SELECT COUNT(*) FROM orders WHERE coupon_id = ?", &rows, DB_N(coupon)))
		return db_status(svc->db, "strays");
	s->rows = db_row(&rows, 0)->number;
	return STATUS_OK;
}

/*
 * The fence keeps its generation and gets the reason FENCE_STRAY, so that an inspection can open the slot once MySQL
 * has the coupon again (fence.h).
 */
static enum status close_slot(struct service *svc, struct arena *a, enum key key, int64_t coupon, int segment)
{
	struct redis_command c;
	char closed[KEY_TEXT];
	enum status s = STATUS_OK;
	redis_script(&c, &script_upgrade, 1);
	key_put(&c, key, coupon, segment);
	struct str fence = redis_text(call(svc, a, &c, &s));
	int64_t generation = fence_generation(fence);
	if (s != STATUS_OK ||
	    (fence.n && (fence_layout(fence) != LAYOUT || fence_read(fence, generation) == FENCE_QUARANTINED)))
		return s;
	fence_change_command(&c, key, coupon, segment, STR(""),
			     fence_text(closed, generation ? generation : 1, FENCE_STRAY));
	call(svc, a, &c, &s);
	return s;
}

enum status stray_close(struct service *svc, struct arena *a, const struct stray *s)
{
	struct redis_command c;
	enum status status = STATUS_OK;
	if (!s->segments) /* only order rows name the coupon: Redis has no slot that could sell */
		return STATUS_OK;
	for (int i = 0; status == STATUS_OK && i < s->segments; i++)
		status = close_slot(svc, a, KEY_SEGMENT, s->coupon, i);
	if (status == STATUS_OK)
		status = close_slot(svc, a, KEY_HUB, s->coupon, 0);
	worklist_command(&c, "SADD", KEY_QUARANTINED, s->coupon, s->segments);
	if (redis_number(call(svc, a, &c, &status)) == 1)
		log_error("coupon_quarantined", LOG_INT("coupon", s->coupon), LOG_STR("seller", s->seller_name),
			  LOG_STR("name", s->name), LOG_TEXT("problem", "MySQL does not have it"));
	return status;
}

static int count_orders(struct service *svc, struct arena *a, struct stray_user *u)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT COUNT(*) FROM orders WHERE user_id = ?", &rows, DB_N(u->user)))
		return -1;
	u->orders = db_row(&rows, 0)->number;
	return 0;
}

/* Reads the distinct users of orders along their index, page by page. */
enum status stray_users(struct service *svc, struct arena *a, int most, struct stray_user **users, int *count)
{
	struct arena page = { 0 };
	struct db_rows rows = { 0 };
	int64_t last = 0;
	int failed = 0;
	*users = arena_alloc(a, (size_t)(most + 1) * sizeof **users);
	*count = 0;
	do {
		arena_reset(&page);
		failed = db_query(
			svc->db, &page,
			"SELECT o.user_id, u.id IS NULL FROM (SELECT DISTINCT user_id FROM orders WHERE user_id > ? "
			"ORDER BY user_id LIMIT 1000) o LEFT JOIN users u ON u.id = o.user_id ORDER BY o.user_id",
			&rows, DB_N(last));
		for (int i = 0; !failed && i < rows.count && *count < most; i++) {
			last = db_row(&rows, i)[0].number;
			if (!db_row(&rows, i)[1].number)
				continue;
			(*users)[*count].user = last;
			failed = count_orders(svc, a, &(*users)[*count]);
			++*count;
		}
	} while (!failed && rows.count && *count < most);
	arena_release(&page);
	return failed ? db_status(svc->db, "strays") : STATUS_OK;
}
