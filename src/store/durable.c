#include "store/durable.h"

#include "host/log.h"

static const struct {
	const char *name, *value, *problem;
} redis_needs[] = {
	{ "appendonly", "yes", "appendonly is not yes: a restart loses orders" },
	{ "appendfsync", "always", "appendfsync is not always: a power cut loses acknowledged orders" },
	{ "no-appendfsync-on-rewrite", "no", "no-appendfsync-on-rewrite is not no: a rewrite suspends the fsync" },
	{ "maxmemory-policy", "noeviction", "maxmemory-policy is not noeviction: Redis may drop stock and orders" },
};

/* A call that had no answer: in the words of the server, or why there is no connection. */
static const char *unanswered(struct service *svc, struct arena *a, const struct redis_reply *reply,
			      enum access *access)
{
	bool refused = reply != NULL;
	const char *problem = refused ? redis_text(reply).p : redis_problem(svc->redis_sync, &refused);
	*access = refused ? ACCESS_REFUSED : ACCESS_AWAY;
	return arena_printf(a, "%s", problem ? problem : "the answer was lost");
}

/* In a cluster with its address. */
static const char *name_of(struct service *svc, struct arena *a, int server)
{
	int masters = redis_servers(svc->redis_sync);
	if (masters + redis_replicas(svc->redis_sync) == 1)
		return "Redis";
	return arena_printf(a, "Redis %s%s", redis_server_name(svc->redis_sync, server),
			    server < masters ? "" : " (a replica)");
}

/* NULL when the setting is as it must be. */
static const char *check(struct service *svc, struct arena *a, int server, size_t i, enum access *access)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "CONFIG");
	c.server = server;
	redis_put_text(&c, "GET");
	redis_put_text(&c, redis_needs[i].name);
	enum redis_outcome end = redis_call(svc->redis_sync, a, &c, &reply);
	if (end != REDIS_ANSWER && reply)
		return arena_printf(a, "%s does not tell its settings: %s", name_of(svc, a, server),
				    redis_text(reply).p);
	if (end != REDIS_ANSWER)
		return unanswered(svc, a, reply, access);
	if (str_eq(redis_text_at(reply, 1), str_of(redis_needs[i].value)))
		return NULL;
	return arena_printf(a, "%s: %s", name_of(svc, a, server), redis_needs[i].problem);
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
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER || str_eq(redis_text(reply), STR("OK")))
		return NULL;
	return arena_printf(a,
			    "%s: the default user may not write, so a restart drops what scripts wrote: switch it off, "
			    "but give it ~* +@all",
			    name_of(svc, a, server));
}

/* A server that does not tell which process and which history it is: nothing on it is known to be whole. */
static const char *check_life(struct service *svc, struct arena *a, int server, enum access *access)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "INFO");
	c.server = server;
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return unanswered(svc, a, reply, access);
	struct str info = redis_text(reply);
	if (memmem(info.p, info.n, "run_id:", 7) || memmem(info.p, info.n, "master_replid:", 14))
		return NULL;
	return "Redis: INFO has neither run_id nor master_replid, so no sale can be opened";
}

static const char *check_server(struct service *svc, struct arena *a, int server, enum access *access)
{
	const char *problem = check_life(svc, a, server, access);
	for (size_t i = 0; !problem && i < sizeof redis_needs / sizeof redis_needs[0]; i++)
		problem = check(svc, a, server, i, access);
	return problem ? problem : check_replay(svc, a, server);
}

const char *durable_redis(struct service *svc, struct arena *a, enum access *access)
{
	struct redis_command ping;
	const struct redis_reply *reply = NULL;
	const char *problem = NULL;
	*access = ACCESS_OK;
	redis_survey(svc->redis_sync); /* a process that is seldom asked may not know of a master that was replaced */
	redis_command(&ping, "PING");
	enum redis_outcome end = redis_call(svc->redis_sync, a, &ping, &reply);
	int servers = redis_servers(svc->redis_sync);
	if (end != REDIS_ANSWER || !servers)
		return unanswered(svc, a, end == REDIS_ANSWER ? NULL : reply, access);
	for (int i = 0; !problem && i < servers; i++)
		problem = check_server(svc, a, i, access);
	return problem;
}

/* Some masters have replicas, or must have, and this one has none. */
static const char *lonely_master(struct service *svc, struct arena *a)
{
	struct redis *r = svc->redis_sync;
	int masters = redis_servers(r), wanted = svc->conf->wait_replicas > 0 ? svc->conf->wait_replicas : 1, most = 0;
	for (int i = 0; i < masters; i++)
		most = redis_replicas_of(r, i) > most ? redis_replicas_of(r, i) : most;
	if (!most && svc->conf->wait_replicas <= 0)
		return NULL;
	for (int i = 0; i < masters; i++)
		if (redis_replicas_of(r, i) < wanted)
			return arena_printf(
				a, "%s has %d of %d replicas%s", name_of(svc, a, i), redis_replicas_of(r, i), wanted,
				svc->conf->wait_replicas > 0 ? ": claims there are answered 503 not-replicated"
							     : ": orders there are lost with it");
	return NULL;
}

static const char *check_replica(struct service *svc, struct arena *a, int server)
{
	enum access access = ACCESS_OK;
	const char *problem = check_server(svc, a, server, &access);
	if (problem && access != ACCESS_OK)
		return arena_printf(a, "%s cannot be asked: %s", name_of(svc, a, server), problem);
	return problem;
}

const char *durable_replicas(struct service *svc, struct arena *a, const char **holds)
{
	struct redis *r = svc->redis_sync;
	int masters = redis_servers(r), wait;
	const char *problem = NULL;
	for (int i = 0; !problem && i < redis_replicas(r); i++)
		problem = check_replica(svc, a, masters + i);
	if (!problem && (masters > 1 || redis_replicas(r)))
		problem = lonely_master(svc, a); /* last: the map may have changed meanwhile */
	wait = redis_wait_replicas(r);
	*holds = wait ? arena_printf(a,
				     "ok: an acknowledged claim is on its master's disk and in the memory of %d "
				     "replica%s",
				     wait, wait > 1 ? "s" : "")
		      : "ok: an acknowledged claim is on its master's disk, and no replica is waited for";
	return problem;
}

const char *durable_mysql(struct service *svc, struct arena *a, enum access *access)
{
	const char *problem = NULL;
	*access = ACCESS_OK;
	if (db_check_durable(svc->db, a, &problem) == 0)
		return problem;
	enum db_failure f = db_failure(svc->db);
	*access = f == DB_AWAY || f == DB_TRANSIENT ? ACCESS_AWAY : ACCESS_REFUSED;
	return arena_printf(a, "%s", db_error(svc->db));
}

/* False: the server is there and may lose what it acknowledged. */
static bool log_start(const char *server, enum access access, const char *problem)
{
	if (access == ACCESS_AWAY)
		log_warn("away_at_start", LOG_TEXT("server", server), LOG_TEXT("reason", problem));
	else if (access == ACCESS_REFUSED)
		log_error("refused_at_start", LOG_TEXT("server", server), LOG_TEXT("reason", problem));
	else if (problem)
		log_error("not_durable", LOG_TEXT("problem", problem));
	return access != ACCESS_OK || !problem;
}

bool durable_at_start(struct service *svc, bool with_mysql)
{
	struct arena a = { 0 };
	enum access access;
	const char *problem = durable_redis(svc, &a, &access);
	bool ok = log_start("Redis", access, problem);
	if (with_mysql) {
		problem = durable_mysql(svc, &a, &access);
		ok &= log_start("MySQL", access, problem);
	}
	arena_release(&a);
	return ok || !svc->conf->require_durable;
}
