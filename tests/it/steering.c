/*
 * Calls src/steer on real stores, for steered.py and its kill tests:
 *
 *   steering CONF apply SELLER COUPON [MEMBER=VALUE]...   members of a change: state, starts_at, ends_at, withdraw, price,
 *                                                         description, if-match; prints as `finish`
 *   steering CONF finish SELLER COUPON                    prints STATUS STATE VERSION AMOUNT WITHDRAWN ASKED MISSED TOLD DETAIL
 *
 * apply finishes the change, too; STATUS is that of the first step that fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "steer/steer.h"

static struct conf conf;
static struct service svc;
static struct arena arena;

static bool read_member(struct steer_change *c, const char *word)
{
	const char *value = strchr(word, '=') + 1;
	struct str name = { word, (size_t)(value - word - 1) };
	const struct {
		const char *name;
		int64_t *number;
		bool *has;
	} numbers[] = { { "starts_at", &c->starts_ms, &c->has_starts },
			{ "ends_at", &c->ends_ms, &c->has_ends },
			{ "price", &c->price, &c->has_price },
			{ "withdraw", &c->withdraw, NULL } };
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (str_eq(name, str_of(numbers[i].name))) {
			*numbers[i].number = atoll(value);
			if (numbers[i].has)
				*numbers[i].has = true;
			return true;
		}
	if (str_eq(name, STR("state")))
		return c->has_state = sale_state_read(str_of(value), &c->state);
	if (str_eq(name, STR("description"))) {
		c->description = str_of(value);
		return c->has_description = true;
	}
	c->if_match = str_of(value);
	return str_eq(name, STR("if-match"));
}

static void print(enum status s, const struct sale_settings *now, const char *detail)
{
	printf("%s %s %lld %lld %lld %lld %lld %d %s\n", status_code(s), sale_state_name(now->steering.state),
	       (long long)now->steering.version, (long long)now->amount, (long long)now->withdrawn,
	       (long long)now->asked, (long long)now->missed, now->is_told, detail ? detail : "");
}

static int run(int argc, char **argv)
{
	struct steer_change c = { .seller_name = str_of(argv[1]), .name = str_of(argv[2]) };
	struct steer_result r = { 0 };
	struct sale_settings now = { 0 };
	bool applies = strcmp(argv[0], "apply") == 0;
	for (int i = 3; i < argc; i++)
		if (!strchr(argv[i], '=') || !read_member(&c, argv[i]))
			return 64;
	enum status s = settings_read(&svc, &arena, c.seller_name, c.name, &now);
	if (s == STATUS_OK && applies)
		s = steer_apply(&svc, &arena, &c, &r);
	if (s == STATUS_OK)
		s = steer_finish(&svc, &arena, now.id, NULL);
	settings_read(&svc, &arena, c.seller_name, c.name, &now);
	print(s, &now, r.detail);
	return 0;
}

int main(int argc, char **argv)
{
	const char *problem;
	if (argc < 5)
		return 64;
	conf_init(&conf);
	conf_load_file(&conf, argv[1]);
	conf_load_environment(&conf, environ);
	svc.conf = &conf;
	svc.stats = stats_open("/nonexistent/board", &problem);
	svc.db = db_new(&conf);
	svc.loop_sync = loop_new();
	svc.redis_sync = redis_new(svc.loop_sync, &conf, &problem);
	if (!conf_ok(&conf) || !svc.redis_sync)
		return 78;
	int code = run(argc - 2, argv + 2);
	db_free(svc.db);
	redis_free(svc.redis_sync);
	loop_free(svc.loop_sync);
	arena_release(&arena);
	stats_close(svc.stats);
	conf_release(&conf);
	return code;
}
