/*
 * The command recover: rebuilds coupons that Redis has lost or rolled back, and closes those that MySQL does not have.
 */
#include <stdio.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/parse.h"
#include "catalog/stray.h"
#include "ctl/ctl.h"
#include "recover/recover.h"
#include "stock/sold_out.h"

static void put_result(struct ctl *c, int64_t coupon, const struct recovery_result *r)
{
	const struct {
		const char *name, *text;
		int64_t value;
	} numbers[] = {
		{ "generation", "generation", r->generation },
		{ "orders", "orders in MySQL", r->orders },
		{ "rescued", "of these rescued from Redis", r->rescued },
		{ "renumbered", "of these with a number other than acknowledged", r->renumbered },
		{ "refused", "refused, because no unit is left (dead letters)", r->refused },
		{ "unknown", "numbers given out and lost, customers not known", r->unknown },
		{ "available", "units on sale", r->available },
	};
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_int(&c->out, "coupon", coupon);
	} else {
		buf_printf(&c->out, "coupon %lld is open again\n", (long long)coupon);
	}
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (c->json)
			json_int(&c->out, numbers[i].name, numbers[i].value);
		else
			buf_printf(&c->out, "  %-50s %lld\n", numbers[i].text, (long long)numbers[i].value);
	if (!c->json && r->refused + r->unknown)
		buf_puts(&c->out, "  run seckillctl dead list to see the dead letters\n");
	if (c->json) {
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	}
}

/* Coupons that MySQL does not have are closed. Users that MySQL does not have are listed, and their orders are kept. */

static void put_stray(struct ctl *c, const struct stray *s)
{
	if (!c->json) {
		buf_printf(
			&c->out,
			"coupon %lld (%.*s/%.*s) is not in MySQL: closed until a newer backup is restored; %lld units "
			"sold, %lld orders on its lists, %lld in MySQL\n",
			(long long)s->coupon, (int)s->seller_name.n, s->seller_name.p, (int)s->name.n, s->name.p,
			(long long)s->sold, (long long)s->queued, (long long)s->rows);
		return;
	}
	json_begin(&c->out, NULL, '{');
	json_int(&c->out, "coupon", s->coupon);
	json_bool(&c->out, "known", false);
	json_str(&c->out, "seller", s->seller_name);
	json_str(&c->out, "name", s->name);
	json_int(&c->out, "sold", s->sold);
	json_int(&c->out, "queued", s->queued);
	json_int(&c->out, "rows", s->rows);
	json_end(&c->out, '}');
	buf_puts(&c->out, "\n");
}

static void put_stray_user(struct ctl *c, const struct stray_user *u)
{
	if (!c->json) {
		buf_printf(&c->out, "user %lld is not in MySQL, but has %lld orders, which are kept\n",
			   (long long)u->user, (long long)u->orders);
		return;
	}
	json_begin(&c->out, NULL, '{');
	json_int(&c->out, "user", u->user);
	json_bool(&c->out, "known", false);
	json_int(&c->out, "orders", u->orders);
	json_end(&c->out, '}');
	buf_puts(&c->out, "\n");
}

static bool has_title(const struct stray *s, const char *title)
{
	struct str rest = str_of(title), seller;
	return !title || (parse_split(&rest, '/', &seller) && str_eq(seller, s->seller_name) && str_eq(rest, s->name));
}

/* Closes the stray of this title, or all strays (NULL). *found becomes their number. */
static enum status close_strays(struct ctl *c, const char *title, int *found)
{
	struct stray *strays;
	int count;
	enum status s = strays_find(c->service, c->arena, &strays, &count);
	for (int i = 0; s == STATUS_OK && i < count; i++) {
		if (!has_title(&strays[i], title))
			continue;
		s = stray_close(c->service, c->arena, &strays[i]);
		if (s == STATUS_OK) {
			put_stray(c, &strays[i]);
			++*found;
		}
	}
	if (*found)
		sold_out_outlast(clock_mono_ms());
	return s;
}

/* To be called after the recovery, because it may insert order rows of such users. */
static enum status put_stray_users(struct ctl *c)
{
	enum { MOST_USERS = 1000 };
	struct stray_user *users;
	int count;
	enum status s = stray_users(c->service, c->arena, MOST_USERS, &users, &count);
	for (int i = 0; s == STATUS_OK && i < count; i++)
		put_stray_user(c, &users[i]);
	return s;
}

/*
 * Tries a write that changes nothing, before any coupon is closed. If a server does not answer, the recovery reports
 * it.
 */
static bool may_write(struct db *db)
{
	return db_exec(db, "UPDATE coupons SET generation = generation WHERE id = 0", NULL) == 0 ||
	       db_failure(db) != DB_BROKEN;
}

static int fail_recovery(struct ctl *c, int64_t coupon, enum status s)
{
	const char *reason =
		s == STATUS_BUSY ? "another recovery of it is running: wait for its end" : ctl_status_text(s);
	if (coupon)
		reason = arena_printf(c->arena, "coupon %lld: %s", (long long)coupon, reason);
	return ctl_fail(c, s == STATUS_UNAVAILABLE || s == STATUS_BUSY ? EXIT_UNAVAILABLE : EXIT_DOES_NOT_HOLD, reason);
}

/* While one master of a cluster is unreachable, coupons that do not need it can be recovered. */
static bool may_go_on(const struct ctl *c)
{
	redis_wait_up(c->service->redis_sync); /* another node may just be sending the map of the cluster */
	return db_is_open(c->service->db) && redis_is_up(c->service->redis_sync);
}

/* Goes on after a coupon that fails. Returns the exit code of the last failure. */
static int recover_each(struct ctl *c, const int64_t *ids, int count, bool resell)
{
	const struct recovery_options options = { .resell = resell };
	int code = EXIT_HOLDS;
	for (int i = 0; i < count; i++) {
		struct recovery_result r;
		enum status s = recover_coupon(c->service, c->arena, ids[i], &options, &r);
		if (s == STATUS_OK)
			put_result(c, ids[i], &r);
		else if (s != STATUS_NO_SUCH_COUPON) /* its creation was interrupted, so no unit was sold */
			code = fail_recovery(c, ids[i], s);
		if (s == STATUS_UNAVAILABLE && !may_go_on(c))
			break;
	}
	return code;
}

int ctl_recover(struct ctl *c, int argc, char **argv)
{
	bool all = ctl_option("all"), resell = ctl_option("resell-unknown");
	const char *title = argv[0];
	int strays = 0, code = EXIT_HOLDS;
	if (argc != !all)
		return ctl_wrong(c, "name one coupon, or say --all");
	if (!may_write(c->service->db))
		return ctl_fail(c, EXIT_DOES_NOT_HOLD,
				arena_printf(c->arena, "%s; recover writes orders: run it with the drainers' settings",
					     db_error(c->service->db)));
	int64_t *ids;
	int count;
	enum status s = audit_find(c->service, c->arena, title, &ids, &count);
	if (all || s == STATUS_NO_SUCH_COUPON) {
		enum status closed = close_strays(c, title, &strays);
		count = all ? count : 0;
		if (closed == STATUS_UNAVAILABLE && s == STATUS_OK && may_go_on(c))
			code = ctl_fail(
				c, EXIT_UNAVAILABLE,
				"a server is away, and may have sales that MySQL does not know: start it, then run recover --all again");
		else
			s = closed != STATUS_OK ? closed : strays && !all ? STATUS_OK : s;
	}
	if (s != STATUS_OK)
		return fail_recovery(c, 0, s);
	int failed = recover_each(c, ids, count, resell);
	code = failed ? failed : code;
	if (all && code == EXIT_HOLDS && (s = put_stray_users(c)) != STATUS_OK)
		return fail_recovery(c, 0, s);
	return code ? code : strays ? EXIT_DOES_NOT_HOLD : EXIT_HOLDS;
}
