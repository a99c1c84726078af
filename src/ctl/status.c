/*
 * The command status: the coupons, and the stats of this host. If Redis or MySQL does not answer, the coupons are shown
 * with the numbers of the other one.
 */
#include <stdio.h>

#include "base/parse.h"
#include "page/availability.h"
#include "ctl/ctl.h"
#include "host/stats.h"
#include "order/dead_letter.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "stock/claim_cost.h"

static const struct {
	const char *metric, *title;
} metrics[] = {
	{ "claims_total__", "claims" },
	{ "scripts_total__", "scripts" },
	{ "stock_moves_total__", "stock_moves" },
	{ "stock_units_total__", "stock_units" },
};

static bool is_row_of(enum counter c, const char *metric)
{
	return strncmp(stats_name(c), metric, strlen(metric)) == 0;
}

/* The value of {label="value"}. */
static struct str label_of(enum counter c)
{
	const char *begin = strchr(stats_labels(c), '"') + 1;
	return (struct str){ begin, (size_t)(strchr(begin, '"') - begin) };
}

static void put_json(struct ctl *c)
{
	const struct stats *b = c->service->stats;
	json_begin(&c->out, "host", '{');
	for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
		json_begin(&c->out, metrics[i].title, '{');
		for (enum counter k = 0; k < COUNTERS; k++)
			if (is_row_of(k, metrics[i].metric))
				json_int(&c->out, arena_strndup(c->arena, label_of(k).p, label_of(k).n),
					 (int64_t)stats_read(b, k));
		json_end(&c->out, '}');
	}
	json_int(&c->out, "scripts_per_1000_wins", (int64_t)(claim_scripts_per_win(b) * 1000 + 0.5));
	json_end(&c->out, '}');
}

static void put_text(struct ctl *c)
{
	const struct stats *b = c->service->stats;
	for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
		const char *sign = " ";
		buf_printf(&c->out, "%s:", metrics[i].title);
		for (enum counter k = 0; k < COUNTERS; k++) {
			if (!is_row_of(k, metrics[i].metric))
				continue;
			buf_printf(&c->out, "%s%llu %.*s", sign, (unsigned long long)stats_read(b, k),
				   (int)label_of(k).n, label_of(k).p);
			sign = ", ";
		}
		buf_puts(&c->out, "\n");
	}
	buf_printf(&c->out, "scripts per winning claim: %.3f\n", claim_scripts_per_win(b));
}

/* Prints a coupon with the numbers of one server, as a line or a JSON object. */

struct number {
	const char *name;
	int64_t value;
};

static void put_coupon(struct ctl *c, struct str seller, struct str name, const struct number *numbers, int count)
{
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_str(&c->out, "seller", seller);
		json_str(&c->out, "name", name);
	} else {
		buf_printf(&c->out, "%.*s/%.*s:", (int)seller.n, seller.p, (int)name.n, name.p);
	}
	for (int i = 0; i < count; i++)
		if (c->json)
			json_int(&c->out, numbers[i].name, numbers[i].value);
		else
			buf_printf(&c->out, "%s %s %lld", i ? "," : "", numbers[i].name, (long long)numbers[i].value);
	if (c->json)
		json_end(&c->out, '}');
	else
		buf_puts(&c->out, "\n");
}

#define PUT_COUPON(c, seller, name, ...)                                                                               \
	put_coupon(c, seller, name, (const struct number[]){ __VA_ARGS__ },                                            \
		   sizeof((const struct number[]){ __VA_ARGS__ }) / sizeof(struct number))

/* From Redis alone, with the readers of the hot pool */

struct view {
	struct ctl *ctl;
	struct coupon *coupon;
	enum status status;
};

static void on_stock(void *context, enum status s, const struct availability *stock)
{
	struct view *v = context;
	const struct coupon *c = v->coupon;
	v->status = s;
	if (s == STATUS_OK)
		PUT_COUPON(v->ctl, c->seller_name, c->name, { "id", c->id }, { "segments", c->segments },
			   { "amount", stock->amount }, { "cancelled", stock->cancelled }, { "hub", stock->hub },
			   { "sold", stock->amount + stock->cancelled - stock->left }, { "queued", stock->queued });
	coupon_drop(v->coupon);
}

static void on_coupon(void *context, enum status s, struct coupon *c)
{
	struct view *v = context;
	v->status = s;
	if (s != STATUS_OK)
		return;
	v->coupon = coupon_hold(c);
	availability_read(v->ctl->service, c, AVAILABILITY_LISTS, on_stock, v);
}

static enum status put_named(struct view *v, const char *title)
{
	struct service *svc = v->ctl->service;
	struct str seller, name = str_of(title);
	if (!parse_split(&name, '/', &seller) || !parse_is_name(seller) || !parse_is_name(name))
		return STATUS_NO_SUCH_COUPON;
	coupon_find(svc, seller, name, on_coupon, v);
	availability_wait_all(svc);
	return v->status;
}

/* Goes on after a coupon that cannot be read, for example because it is closed. */
static enum status put_catalog(struct view *v)
{
	struct service *svc = v->ctl->service;
	struct arena a = { 0 };
	struct redis_command c;
	const struct redis_reply *entries = NULL;
	enum redis_outcome end = REDIS_ANSWER;
	for (int bucket = 0; end == REDIS_ANSWER && bucket < KEY_BUCKETS; bucket++) {
		redis_command(&c, "HGETALL");
		key_put(&c, KEY_CATALOG, bucket, 0);
		end = redis_call(svc->redis, &a, &c, &entries);
		for (size_t i = 1; end == REDIS_ANSWER && i < redis_count(entries); i += 2) {
			coupon_find_id(svc, redis_number_at(entries, i), on_coupon, v);
			availability_wait_all(svc);
		}
		arena_reset(&a);
	}
	arena_release(&a);
	return end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}

static enum status put_from_redis(struct ctl *c, const char *title)
{
	struct view v = { .ctl = c };
	c->service->redis = c->service->redis_sync; /* the readers of the hot pool use this client */
	enum status s = title ? put_named(&v, title) : put_catalog(&v);
	c->service->redis = NULL;
	return s;
}

/* From MySQL alone */

static enum status put_from_mysql(struct ctl *c, const char *title)
{
	struct db_rows rows;
	struct str seller = STR(""), name = title ? str_of(title) : STR("");
	if (title)
		parse_split(&name, '/', &seller);
	if (db_query(c->service->db, c->arena,
		     "SELECT u.name, c.name, c.id, c.segments, c.amount, c.cancelled, c.sold, (SELECT COUNT(*) FROM "
		     "dead_letters d WHERE d.coupon_id = c.id AND d.state = ?) FROM coupons c JOIN users u ON "
		     "u.id = c.seller_id WHERE ? = 0 OR (u.name = ? AND c.name = ?) ORDER BY c.id",
		     &rows, DB_N(DEAD_OPEN), DB_N(title != NULL), DB_S(seller), DB_S(name)))
		return db_status(c->service->db, "status");
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		PUT_COUPON(c, v[0].text, v[1].text, { "id", v[2].number }, { "segments", v[3].number },
			   { "amount", v[4].number }, { "cancelled", v[5].number }, { "rows", v[6].number },
			   { "dead_letters", v[7].number });
	}
	return title && !rows.count ? STATUS_NO_SUCH_COUPON : STATUS_OK;
}

/* The whole */

enum { REDIS, MYSQL, SERVERS };

struct server {
	enum access access;
	const char *text;
};

static void ask_servers(struct ctl *c, struct server servers[SERVERS])
{
	const char *(*const ask[])(struct service *, struct arena *, enum access *) = { durable_redis_problem,
											durable_mysql_problem };
	for (int i = 0; i < SERVERS; i++) {
		const char *problem = ask[i](c->service, c->arena, &servers[i].access);
		servers[i].text = ctl_access(c, servers[i].access, servers[i].access == ACCESS_OK ? NULL : problem);
	}
}

static int put_from_one(struct ctl *c, const struct server servers[SERVERS], const char *title)
{
	static const char *const names[] = { "Redis", "MySQL" };
	enum status s = STATUS_OK;
	if (c->json)
		json_begin(&c->out, "coupons", '[');
	if (servers[REDIS].access == ACCESS_OK)
		s = put_from_redis(c, title);
	else if (servers[MYSQL].access == ACCESS_OK)
		s = put_from_mysql(c, title);
	if (c->json)
		json_end(&c->out, ']');
	for (int i = 0; i < SERVERS; i++)
		if (servers[i].access != ACCESS_OK)
			ctl_fail(c, 0, arena_printf(c->arena, "%s is %s", names[i], servers[i].text));
	return s == STATUS_OK ? EXIT_CANNOT_TELL : ctl_fail_status(c, EXIT_CANNOT_TELL, s);
}

/* The coupons do not need the file. */
static void warn_without_stats(struct ctl *c)
{
	const char *problem = stats_problem(c->service->stats);
	if (problem)
		ctl_fail(c, EXIT_HOLDS,
			 arena_printf(c->arena, "no counters of this host: %s: %s", c->service->conf->board, problem));
}

int ctl_status(struct ctl *c, int argc, char **argv)
{
	struct server servers[SERVERS];
	if (argc > 1)
		return ctl_wrong(c, "name one coupon, or none for all");
	ask_servers(c, servers);
	bool whole = servers[REDIS].access == ACCESS_OK && servers[MYSQL].access == ACCESS_OK;
	if (c->json)
		json_begin(&c->out, NULL, '{');
	int code = whole ? ctl_units(c, argc, argv, "coupons") : put_from_one(c, servers, argv[0]);
	if (whole && code != EXIT_HOLDS)
		return code;
	warn_without_stats(c);
	if (!c->json) {
		put_text(c);
		return code;
	}
	put_json(c);
	json_str(&c->out, "redis", str_of(servers[REDIS].text));
	json_str(&c->out, "mysql", str_of(servers[MYSQL].text));
	json_end(&c->out, '}');
	buf_puts(&c->out, "\n");
	return code;
}
