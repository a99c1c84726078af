#include "sale/durable.h"

#include "base/log.h"

static const struct {
	const char *name, *value, *problem;
} redis_needs[] = {
	{ "appendonly", "yes", "appendonly is not yes: a restart loses orders" },
	{ "appendfsync", "always", "appendfsync is not always: a power cut loses acknowledged orders" },
	{ "no-appendfsync-on-rewrite", "no", "no-appendfsync-on-rewrite is not no: a rewrite suspends the fsync" },
	{ "maxmemory-policy", "noeviction", "maxmemory-policy is not noeviction: Redis may drop stock and orders" },
};

/* NULL when the setting is as it must be, or cannot be asked. */
static const char *check(struct service *svc, struct arena *a, int server, size_t i, bool *away)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "CONFIG");
	c.server = server;
	redis_put_text(&c, "GET");
	redis_put_text(&c, redis_needs[i].name);
	enum redis_end end = redis_call(svc->redis_now, a, &c, &reply);
	if (end != REDIS_ANSWER && reply)
		return arena_printf(a, "Redis does not tell its settings: %s", redis_text(reply).p);
	*away = end != REDIS_ANSWER;
	if (*away || str_eq(redis_text_at(reply, 1), str_of(redis_needs[i].value)))
		return NULL;
	return arena_printf(a, "Redis: %s", redis_needs[i].problem);
}

/*
 * Redis replays its AOF as the default user; one without permissions makes it skip every script's writes, silently.
 * Servers before version 7, or that do not let us ask, are taken at their word.
 */
static const char *check_replay(struct service *svc, struct arena *a, int server)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "ACL");
	c.server = server;
	redis_put_text(&c, "DRYRUN");
	redis_put_text(&c, "default");
	redis_put_text(&c, "HSET");
	redis_put_text(&c, "sk:x");
	redis_put_text(&c, "x");
	redis_put_text(&c, "x");
	if (redis_call(svc->redis_now, a, &c, &reply) != REDIS_ANSWER || str_eq(redis_text(reply), STR("OK")))
		return NULL;
	return "Redis: the default user may not write, so a restart drops what scripts wrote: switch it off, but give it ~* +@all";
}

static const char *check_server(struct service *svc, struct arena *a, int server, bool *away)
{
	const char *problem = NULL;
	for (size_t i = 0; !problem && !*away && i < sizeof redis_needs / sizeof redis_needs[0]; i++)
		problem = check(svc, a, server, i, away);
	return problem || *away ? problem : check_replay(svc, a, server);
}

const char *durable_redis(struct service *svc, struct arena *a, bool *away)
{
	struct redis_command ping;
	const char *problem = NULL;
	redis_command(&ping, "PING"); /* also waits for the map of a cluster */
	*away = redis_call(svc->redis_now, a, &ping, NULL) != REDIS_ANSWER;
	int servers = *away ? 0 : redis_servers(svc->redis_now);
	*away |= servers == 0;
	for (int i = 0; !problem && !*away && i < servers; i++)
		problem = check_server(svc, a, i, away);
	return problem;
}

const char *durable_mysql(struct service *svc, struct arena *a, bool *away)
{
	const char *problem = NULL;
	*away = db_check_durable(svc->db, a, &problem) != 0;
	return *away ? NULL : problem;
}

bool durable_at_start(struct service *svc, bool with_mysql)
{
	struct arena a = { 0 };
	bool away, ok = true;
	const char *problems[2] = { durable_redis(svc, &a, &away), NULL };
	if (away)
		log_warn("redis_away_at_start", LOG_TEXT("address", svc->conf->redis));
	if (with_mysql)
		problems[1] = durable_mysql(svc, &a, &away);
	if (with_mysql && away)
		log_warn("mysql_away_at_start", LOG_TEXT("error", db_error(svc->db)));
	for (int i = 0; i < 2; i++)
		if (problems[i]) {
			log_error("not_durable", LOG_TEXT("problem", problems[i]));
			ok = false;
		}
	arena_release(&a);
	return ok || !svc->conf->require_durable;
}
