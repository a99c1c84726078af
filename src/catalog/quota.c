/*
 * The rows are counted, so there is no counter that could be wrong. The row of the new coupon is inserted first and
 * counted with the others, so that a request for a name that exists gets that answer, and not a quota.
 */
#include "catalog/quota.h"

#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "sale/db_status.h"

enum { MINUTE_MS = 60000, FULL_RETRY_S = 60 };

/* Of a coupon: it is not over, by its end or by its seller. A parameter: the time. */
#define ON_SALE "((ends_at_ms = 0 OR ends_at_ms > ?) AND state < 2)"

int quota_lock(struct db *db, struct arena *a, int64_t seller)
{
	struct db_rows rows;
	return db_query(db, a, "SELECT id FROM users WHERE id = ? FOR UPDATE", &rows, DB_N(seller));
}

static enum status check_on_sale(struct service *svc, struct arena *a, int64_t seller, struct refusal *r)
{
	const struct conf *conf = svc->conf;
	struct db_rows rows;
	if (!conf->coupons_per_seller && !conf->segments_per_seller)
		return STATUS_OK;
	if (db_query_row(svc->db, a,
			 "SELECT COUNT(*), COALESCE(SUM(segments), 0) FROM coupons "
			 "WHERE seller_id = ? AND " ON_SALE,
			 &rows, DB_N(seller), DB_N(clock_ms())))
		return db_status(svc->db, "quota");
	if (conf->coupons_per_seller && db_row(&rows, 0)[0].number > conf->coupons_per_seller)
		r->detail = arena_printf(a,
					 "you may have %d coupons on sale (coupons_per_seller): wait until one of them "
					 "ends, or ask the operator for more",
					 conf->coupons_per_seller);
	else if (conf->segments_per_seller && db_row(&rows, 0)[1].number > conf->segments_per_seller)
		r->detail = arena_printf(a,
					 "your coupons on sale may have %d segments in all (segments_per_seller), and "
					 "with this one they would have %lld: choose fewer segments, wait until a "
					 "coupon ends, or ask the operator for more",
					 conf->segments_per_seller, (long long)db_row(&rows, 0)[1].number);
	return r->detail ? STATUS_QUOTA_EXCEEDED : STATUS_OK;
}

/* Rows of the next minute count, too: the clock of the host that wrote them is ahead, or a clock was set back. */
static enum status check_rate(struct service *svc, struct arena *a, int64_t seller, struct refusal *r)
{
	int most = svc->conf->creations_per_minute;
	int64_t now_ms = clock_ms(), oldest_ms;
	struct db_rows rows;
	if (!most)
		return STATUS_OK;
	if (db_query_row(svc->db, a,
			 "SELECT COUNT(*), MIN(created_at_ms) FROM coupons "
			 "WHERE seller_id = ? AND created_at_ms > ? AND created_at_ms < ?",
			 &rows, DB_N(seller), DB_N(now_ms - MINUTE_MS), DB_N(now_ms + MINUTE_MS)))
		return db_status(svc->db, "quota");
	if (db_row(&rows, 0)[0].number <= most)
		return STATUS_OK;
	oldest_ms = db_row(&rows, 0)[1].number < now_ms ? db_row(&rows, 0)[1].number : now_ms;
	r->retry_after_s = (int)((oldest_ms + MINUTE_MS - now_ms) / 1000 + 1);
	r->detail = arena_printf(a, "you may create %d coupons within a minute (creations_per_minute): wait %d s", most,
				 r->retry_after_s);
	return STATUS_QUOTA_EXCEEDED;
}

enum status quota_check(struct service *svc, struct arena *a, int64_t seller, struct refusal *r)
{
	enum status s = check_on_sale(svc, a, seller, r);
	return s == STATUS_OK ? check_rate(svc, a, seller, r) : s;
}

enum status quota_read(struct service *svc, struct arena *a, int64_t seller, struct quota all[QUOTAS])
{
	const struct conf *conf = svc->conf;
	int64_t now_ms = clock_ms();
	struct db_rows rows;
	if (db_query_row(svc->db, a,
			 "SELECT COALESCE(SUM(" ON_SALE "), 0), COALESCE(SUM(IF(" ON_SALE ", segments, 0)), 0), "
			 "COALESCE(SUM(created_at_ms > ? AND created_at_ms < ?), 0), "
			 "(SELECT COUNT(*) FROM idempotency_keys WHERE seller_id = ?) FROM coupons WHERE seller_id = ?",
			 &rows, DB_N(now_ms), DB_N(now_ms), DB_N(now_ms - MINUTE_MS), DB_N(now_ms + MINUTE_MS),
			 DB_N(seller), DB_N(seller)))
		return db_status(svc->db, "quota");
	const struct quota quotas[QUOTAS] = { { "coupons_per_seller", conf->coupons_per_seller, 0 },
					      { "segments_per_seller", conf->segments_per_seller, 0 },
					      { "creations_per_minute", conf->creations_per_minute, 0 },
					      { "keys_per_seller", conf->keys_per_seller, 0 } };
	for (int i = 0; i < QUOTAS; i++) {
		all[i] = quotas[i];
		all[i].used = db_row(&rows, 0)[i].number;
	}
	return STATUS_OK;
}

/* The number of a line "name:number" of INFO; 0 when there is no such line. */
static int64_t info_number(struct str info, struct str name)
{
	struct str line, word;
	int64_t number = 0;
	while (parse_split(&info, '\n', &line))
		if (parse_split(&line, ':', &word) && str_eq(word, name) && line.n &&
		    parse_int((struct str){ line.p, line.n - (line.p[line.n - 1] == '\r') }, 0, INT64_MAX, &number))
			return number;
	return 0;
}

static enum status check_server(struct service *svc, struct arena *a, int server, struct refusal *r)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "INFO");
	c.server = server;
	redis_put_text(&c, "memory");
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	int64_t used = info_number(redis_text(reply), STR("used_memory"));
	int64_t most = info_number(redis_text(reply), STR("maxmemory"));
	if (!most || used <= most / 100 * (100 - svc->conf->redis_reserve))
		return STATUS_OK;
	log_warn("creation_refused", LOG_TEXT("reason", "only redis_reserve is free"), LOG_INT("server", server),
		 LOG_INT("used_memory", used), LOG_INT("maxmemory", most));
	r->retry_after_s = FULL_RETRY_S;
	r->detail = arena_printf(a,
				 "the last %d percent of Redis's memory are kept for the coupons that are on sale "
				 "(redis_reserve): ask again later",
				 svc->conf->redis_reserve);
	return STATUS_UNAVAILABLE;
}

enum status quota_check_memory(struct service *svc, struct arena *a, struct refusal *r)
{
	enum status s = STATUS_OK;
	for (int i = 0; svc->conf->redis_reserve && s == STATUS_OK && i < redis_servers(svc->redis_sync); i++)
		s = check_server(svc, a, i, r);
	return s;
}
