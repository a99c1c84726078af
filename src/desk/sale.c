/* The commands sale, pause, resume, end, archive and withdraw: what the seller of a sale may do, done by an operator.
 */
#include <pwd.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "desk/desk.h"
#include "host/log.h"
#include "sale/sale_clock.h"
#include "steer/settings_json.h"
#include "steer/steer.h"
#include "store/rights.h"

/* NULL, or what is wrong with the name of the coupon, which is split. */
static const char *read_title(struct ctl *c, const char *title, struct str *seller, struct str *name)
{
	*name = str_of(title);
	bool is_title = parse_split(name, '/', seller) && parse_is_name(*seller) && parse_is_name(*name);
	return is_title ? NULL : arena_printf(c->arena, "%s is no coupon: it reads SELLER/COUPON", title);
}

static int fail(struct ctl *c, enum status s, const char *detail)
{
	bool away;
	if (s == STATUS_INTERNAL && rights_problem(c->service, c->arena, RIGHTS_WORKERS, &away))
		return ctl_fail(
			c, EXIT_CANNOT_TELL,
			"the MySQL account of these settings may not do this: run it with the workers' settings (-c)");
	bool refused = s != STATUS_UNAVAILABLE && s != STATUS_INTERNAL && s != STATUS_BUSY && s != STATUS_FENCED;
	return ctl_fail(c, refused ? EXIT_DOES_NOT_HOLD : EXIT_CANNOT_TELL, detail ? detail : ctl_status_text(s));
}

/* A sale also ends by time. While Redis is away, the state that was set is shown. */
static enum sale_state state_now(struct ctl *c, const struct sale_settings *s)
{
	int64_t now_ms = 0;
	if (s->steering.ends_ms && s->steering.state < SALE_ENDED)
		sale_clock_read(c->service, c->arena, &now_ms);
	return steering_state_at(&s->steering, now_ms);
}

static const char *time_of(struct ctl *c, int64_t ms)
{
	char text[CLOCK_TEXT];
	if (!ms)
		return "-";
	clock_format(text, ms);
	return arena_str(c->arena, str_of(text)).p;
}

static void put_text(struct ctl *c, const struct sale_settings *s)
{
	struct buf *out = &c->out;
	buf_printf(out, "state      %s%s\n", sale_state_name(state_now(c, s)),
		   s->is_told ? "" : ", not on every server yet");
	buf_printf(out, "starts_at  %s\n", time_of(c, s->steering.starts_ms));
	buf_printf(out, "ends_at    %s\n", time_of(c, s->steering.ends_ms));
	buf_printf(out, "amount     %lld\n", (long long)s->amount);
	buf_printf(out, "withdrawn  %lld\n", (long long)s->withdrawn);
	buf_printf(out, "limit      %lld\n", (long long)s->limit);
	buf_printf(out, "price      %lld %.*s\n", (long long)s->price, (int)s->currency.n, s->currency.p);
	buf_printf(out, "etag       %s\n", settings_etag(c->arena, s).p);
}

static void put_json(struct ctl *c, const struct sale_settings *s, const struct steer_result *of)
{
	json_begin(&c->out, NULL, '{');
	settings_put(&c->out, s, state_now(c, s));
	if (of && of->withdraw)
		json_int(&c->out, "withdrew", steer_withdrew(of, s));
	json_end(&c->out, '}');
	buf_puts(&c->out, "\n");
}

int ctl_sale(struct ctl *c, int argc, char **argv)
{
	struct str seller, name;
	struct sale_settings s;
	if (argc != 1)
		return ctl_wrong(c, "name one coupon");
	const char *problem = read_title(c, argv[0], &seller, &name);
	if (problem)
		return ctl_wrong(c, problem);
	enum status status = settings_read(c->service, c->arena, seller, name, &s);
	if (status != STATUS_OK)
		return fail(c, status, NULL);
	if (c->json)
		put_json(c, &s, NULL);
	else
		put_text(c, &s);
	return EXIT_HOLDS;
}

/* Who did what, on standard error and in the log of the system: operators share the accounts of the servers. */
static void log_change(const struct ctl *c, const char *what, const char *title, const struct steer_result *r)
{
	const struct passwd *me = getpwuid(getuid());
	const char *sudo = getenv("SUDO_USER");
	const char *user = me ? me->pw_name : "?";
	ctl_log("sale_changed", (const struct log_pair[]){ LOG_TEXT("sale", title),
							   LOG_INT("coupon", r->settings.id),
							   LOG_TEXT("by", "operator"),
							   LOG_TEXT("user", user),
							   LOG_INT("uid", getuid()),
							   LOG_TEXT("sudo_user", sudo ? sudo : ""),
							   LOG_TEXT("what", what),
							   LOG_INT("withdraw", r->withdraw),
							   LOG_INT("version", r->settings.steering.version),
							   { 0 } });
	openlog(c->program->name, LOG_PID, LOG_AUTHPRIV);
	syslog(LOG_NOTICE, "sale_changed sale=%s by=operator user=%s uid=%ld sudo_user=%s what=%s withdraw=%lld", title,
	       user, (long)getuid(), sudo ? sudo : "", what, (long long)r->withdraw);
	closelog();
}

static int put_changed(struct ctl *c, const char *title, const struct steer_result *r, const struct sale_settings *now)
{
	if (c->json)
		put_json(c, now, r);
	else if (r->withdraw)
		buf_printf(&c->out, "%s: %lld of %lld units withdrawn, %lld of %lld in all\n", title,
			   (long long)steer_withdrew(r, now), (long long)r->withdraw, (long long)now->withdrawn,
			   (long long)now->amount);
	else
		buf_printf(&c->out, "%s: %s\n", title, sale_state_name(state_now(c, now)));
	return EXIT_HOLDS;
}

static int change(struct ctl *c, const char *what, const char *title, struct steer_change *change)
{
	struct steer_result r;
	struct sale_settings now;
	const char *problem = read_title(c, title, &change->seller_name, &change->name);
	if (problem)
		return ctl_wrong(c, problem);
	enum status s = steer_apply(c->service, c->arena, change, &r);
	if (s != STATUS_OK)
		return fail(c, s, r.detail);
	if (r.changed)
		log_change(c, what, title, &r);
	s = steer_finish(c->service, c->arena, r.settings.id, &now);
	if (s == STATUS_OK)
		return put_changed(c, title, &r, &now);
	return ctl_fail(c, EXIT_CANNOT_TELL,
			arena_printf(c->arena, "decided, but not on every server yet: the drainers go on (%s)",
				     ctl_status_text(s)));
}

static int set_state(struct ctl *c, int argc, char **argv, const char *what, enum sale_state state)
{
	struct steer_change to = { .has_state = true, .state = state };
	return argc == 1 ? change(c, what, argv[0], &to) : ctl_wrong(c, "name one coupon");
}

int ctl_pause(struct ctl *c, int argc, char **argv)
{
	return set_state(c, argc, argv, "pause", SALE_PAUSED);
}

int ctl_resume(struct ctl *c, int argc, char **argv)
{
	return set_state(c, argc, argv, "resume", SALE_OPEN);
}

int ctl_end(struct ctl *c, int argc, char **argv)
{
	return set_state(c, argc, argv, "end", SALE_ENDED);
}

int ctl_archive(struct ctl *c, int argc, char **argv)
{
	return set_state(c, argc, argv, "archive", SALE_ARCHIVED);
}

int ctl_withdraw(struct ctl *c, int argc, char **argv)
{
	enum { MOST = 1000000000 };
	struct steer_change of = { 0 };
	if (argc != 2)
		return ctl_wrong(c, "name one coupon, and how many units to take off sale");
	if (!parse_int(str_of(argv[1]), 1, MOST, &of.withdraw))
		return ctl_wrong(c, "the number of units is from 1 to 1000000000");
	return change(c, "withdraw", argv[0], &of);
}
