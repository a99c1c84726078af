#include "store/durable.h"

#include "host/log.h"

static const struct {
	const char *name, *value, *problem;
} redis_needs[] = {
	{ "appendonly", "yes", "appendonly is not yes: a restart loses orders" },
	{ "appendfsync", "always", "appendfsync is not always: a power cut loses acknowledged orders" },
	{ "no-appendfsync-on-rewrite", "no",
	  "no-appendfsync-on-rewrite is not no: a rewrite of the AOF suspends fsync" },
	{ "maxmemory-policy", "noeviction", "maxmemory-policy is not noeviction: Redis may evict stock and orders" },
};

/* Why a call got no answer: the error text of the server or the connection, in the arena. Sets *access. */
static const char *why_unanswered(struct service *svc, struct arena *a, const struct redis_reply *reply,
				  enum access *access)
{
	bool refused = reply != NULL;
	const char *problem = refused ? redis_text(reply).p : redis_problem(svc->redis_sync, &refused);
	*access = refused ? ACCESS_REFUSED : ACCESS_AWAY;
	return arena_printf(a, "%s", problem ? problem : "the answer was lost");
}

/* "Redis"; if there are several servers, with the server's address. */
static const char *server_name(struct service *svc, struct arena *a, int server)
{
	int masters = redis_servers(svc->redis_sync);
	if (masters + redis_replicas(svc->redis_sync) == 1)
		return "Redis";
	return arena_printf(a, "Redis %s%s", redis_server_name(svc->redis_sync, server),
			    server < masters ? "" : " (a replica)");
}

/* NULL: the setting has the required value. */
static const char *check_setting(struct service *svc, struct arena *a, int server, size_t i, enum access *access)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "CONFIG");
	c.server = server;
	redis_put_text(&c, "GET");
	redis_put_text(&c, redis_needs[i].name);
	enum redis_outcome end = redis_call(svc->redis_sync, a, &c, &reply);
	if (end != REDIS_ANSWER && reply)
		return arena_printf(a, "%s refuses CONFIG GET (%s): give the account +config|get",
				    server_name(svc, a, server), redis_text(reply).p);
	if (end != REDIS_ANSWER)
		return why_unanswered(svc, a, reply, access);
	if (str_eq(redis_text_at(reply, 1), str_of(redis_needs[i].value)))
		return NULL;
	return arena_printf(a, "%s: %s", server_name(svc, a, server), redis_needs[i].problem);
}

/*
 * Redis replays its AOF as the default user. If that user lacks permissions, Redis silently skips what scripts wrote.
 * NULL also for servers that cannot be checked: versions before 7, and servers that refuse ACL DRYRUN.
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
			    "%s: the default user may not write, so a restart drops what scripts wrote: give "
			    "that user ~* +@all, and switch its logins off",
			    server_name(svc, a, server));
}

/* Without an incarnation a slot's fence cannot be verified. */
static const char *check_incarnation(struct service *svc, struct arena *a, int server, enum access *access)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "INFO");
	c.server = server;
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return why_unanswered(svc, a, reply, access);
	struct str info = redis_text(reply);
	if (memmem(info.p, info.n, "run_id:", 7) || memmem(info.p, info.n, "master_replid:", 14))
		return NULL;
	return "Redis: INFO has neither run_id nor master_replid, so no sale can be opened: allow the account INFO";
}

static const char *check_server(struct service *svc, struct arena *a, int server, enum access *access)
{
	const char *problem = check_incarnation(svc, a, server, access);
	for (size_t i = 0; !problem && i < sizeof redis_needs / sizeof redis_needs[0]; i++)
		problem = check_setting(svc, a, server, i, access);
	return problem ? problem : check_replay(svc, a, server);
}

const char *durable_redis_problem(struct service *svc, struct arena *a, enum access *access)
{
	struct redis_command ping;
	const struct redis_reply *reply = NULL;
	const char *problem = NULL;
	*access = ACCESS_OK;
	redis_survey(svc->redis_sync); /* a process that sends few commands may have an old map of the cluster */
	redis_command(&ping, "PING");
	enum redis_outcome end = redis_call(svc->redis_sync, a, &ping, &reply);
	int servers = redis_servers(svc->redis_sync);
	if (end != REDIS_ANSWER || !servers)
		return why_unanswered(svc, a, end == REDIS_ANSWER ? NULL : reply, access);
	for (int i = 0; !problem && i < servers; i++)
		problem = check_server(svc, a, i, access);
	return problem;
}

/* The problem of a master that has fewer replicas than wait_replicas, or none although another master has one. */
static const char *missing_replica(struct service *svc, struct arena *a)
{
	struct redis *r = svc->redis_sync;
	int masters = redis_servers(r), wanted = svc->conf->wait_replicas > 0 ? svc->conf->wait_replicas : 1, most = 0;
	for (int i = 0; i < masters; i++)
		most = redis_replicas_of(r, i) > most ? redis_replicas_of(r, i) : most;
	if (!most && svc->conf->wait_replicas <= 0)
		return NULL;
	for (int i = 0; i < masters; i++)
		if (redis_replicas_of(r, i) < wanted)
			return arena_printf(a, "%s has %d of %d replicas, start or add some%s", server_name(svc, a, i),
					    redis_replicas_of(r, i), wanted,
					    svc->conf->wait_replicas > 0
						    ? ": its claims are answered 503 not-replicated"
						    : ": if this master is lost, its orders are lost, too");
	return NULL;
}

static const char *check_replica(struct service *svc, struct arena *a, int server)
{
	enum access access = ACCESS_OK;
	const char *problem = check_server(svc, a, server, &access);
	if (problem && access != ACCESS_OK)
		return arena_printf(a, "%s does not answer: %s", server_name(svc, a, server), problem);
	return problem;
}

const char *durable_replicas_problem(struct service *svc, struct arena *a, const char **where)
{
	struct redis *r = svc->redis_sync;
	int masters = redis_servers(r), wait;
	const char *problem = NULL;
	for (int i = 0; !problem && i < redis_replicas(r); i++)
		problem = check_replica(svc, a, masters + i);
	if (!problem && (masters > 1 || redis_replicas(r)))
		problem = missing_replica(svc, a); /* last: the checks may have updated the map */
	wait = redis_wait_replicas(r);
	*where = wait ? arena_printf(a,
				     "ok: an acknowledged claim is on its master's disk and in the memory of %d "
				     "replica%s",
				     wait, wait > 1 ? "s" : "")
		      : "ok: an acknowledged claim is on its master's disk; claims do not wait for replicas";
	return problem;
}

const char *durable_mysql_problem(struct service *svc, struct arena *a, enum access *access)
{
	const char *problem = NULL;
	*access = ACCESS_OK;
	if (db_check_durable(svc->db, a, &problem) == 0)
		return problem;
	enum db_failure f = db_failure(svc->db);
	*access = f == DB_AWAY || f == DB_TRANSIENT ? ACCESS_AWAY : ACCESS_REFUSED;
	return arena_printf(a, "%s", db_error(svc->db));
}

/* False: the server answers, but may lose what it acknowledges. */
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
	const char *problem = durable_redis_problem(svc, &a, &access);
	bool ok = log_start("Redis", access, problem);
	if (with_mysql) {
		problem = durable_mysql_problem(svc, &a, &access);
		ok &= log_start("MySQL", access, problem);
	}
	arena_release(&a);
	return ok || !svc->conf->require_durable;
}
