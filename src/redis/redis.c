#include "redis/redis.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/log.h"
#include "redis/call.h"
#include "redis/route.h"

struct redis {
	struct loop *loop;
	const struct conf *conf;
	struct router router;
	struct call_pool calls;
	struct arena arena; /* the password */
};

static struct topology *topology_of(const struct redis *r)
{
	return (struct topology *)&r->router.topology;
}

/* Life-cycle */

/* NULL, or a problem whose text is valid after r is freed. */
static const char *open_router(struct redis *r)
{
	const char *problem = NULL;
	const char *password = conf_secret(&r->arena, r->conf->redis_password_file, &problem);
	if (!password)
		return alloc_checked(strdup(problem)); /* a copy, because the arena is released with r */
	r->router.topology.shared = (struct link_shared){ .loop = r->loop, .conf = r->conf, .password = password };
	return route_open(&r->router, r->conf->redis);
}

struct redis *redis_new(struct loop *loop, const struct conf *conf, const char **problem)
{
	if (conf->wait_ms >= conf->redis_timeout_ms) {
		*problem = "wait_ms must be below redis_timeout_ms";
		return NULL;
	}
	struct redis *r = alloc_zeroed(1, sizeof *r);
	r->loop = loop;
	r->conf = conf;
	*problem = open_router(r);
	if (!*problem)
		return r;
	redis_free(r);
	return NULL;
}

void redis_free(struct redis *r)
{
	if (!r)
		return;
	if (r->router.topology.shared.loop)
		route_close(&r->router);
	call_pool_release(&r->calls);
	arena_release(&r->arena);
	free(r);
}

/* The servers */

bool redis_is_up(const struct redis *r)
{
	return topology_is_up(topology_of(r));
}

const char *redis_problem(const struct redis *r, bool *refused)
{
	*refused = false;
	return redis_is_up(r) ? NULL : topology_problem(topology_of(r), refused);
}

unsigned redis_changes(const struct redis *r)
{
	return topology_of(r)->shared.changes;
}

int64_t redis_changed_ms(const struct redis *r)
{
	return topology_of(r)->shared.changed_ms;
}

bool redis_is_single(const struct redis *r)
{
	return !topology_of(r)->is_cluster && !topology_of(r)->shared.is_sharded;
}

int redis_servers(const struct redis *r)
{
	return topology_masters(topology_of(r));
}

int redis_replicas(const struct redis *r)
{
	return topology_replicas(topology_of(r));
}

int redis_replicas_of(const struct redis *r, int server)
{
	const struct node *n = topology_of(r)->is_cluster ? topology_find(topology_of(r), -1, server) : NULL;
	return n && n->replicas > 0 ? n->replicas : 0;
}

const char *redis_server_name(const struct redis *r, int server)
{
	const struct node *n = topology_find(topology_of(r), -1, server);
	return n ? link_address(n->link) : "";
}

static const struct node *node_of_key(const struct redis *r, struct str key)
{
	struct topology *t = topology_of(r);
	return t->is_cluster ? t->slots[hash_slot(key)] : t->nodes;
}

int redis_server_of(const struct redis *r, struct str key)
{
	return topology_of(r)->is_cluster ? topology_number(topology_of(r), node_of_key(r, key)) : 0;
}

bool redis_reaches(const struct redis *r, struct str key)
{
	const struct node *n = node_of_key(r, key);
	return n && link_is_up(n->link);
}

const char *redis_incarnation(const struct redis *r, struct str key)
{
	return redis_reaches(r, key) ? link_incarnation(node_of_key(r, key)->link) : "0000000000000000";
}

/* Replication */

int redis_wait_replicas(const struct redis *r)
{
	return topology_wait_replicas(topology_of(r));
}

bool redis_may_wait(const struct redis *r)
{
	int wanted = r->conf->wait_replicas;
	return wanted == CONF_AUTO ? topology_of(r)->is_cluster : wanted > 0;
}

void redis_replicate(struct redis *r, redis_done *done, void *context)
{
	struct node *n = r->router.answering;
	int replicas = node_wait_replicas(n);
	if (replicas)
		link_replicate(n->link, replicas, done, context);
	else
		done(context, REDIS_ANSWER, NULL);
}

/* Commands */

static struct str name_of(const struct redis_command *c)
{
	const char *at = memchr(c->text, '\n', c->used);
	return c->script ? str_of(c->script->name) : at ? (struct str){ at + 1, strcspn(at + 1, "\r") } : STR("-");
}

static void refuse_overlong(const struct redis_command *c, redis_done *done, void *context)
{
	log_error_limited("redis_command_overlong", LOG_STR("command", name_of(c)));
	if (done)
		done(context, REDIS_BROKEN, NULL);
}

void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context)
{
	if (c->overlong) {
		refuse_overlong(c, done, context);
		return;
	}
	struct call *call = call_new(&r->calls, c, done, context);
	if (topology_of(r)->is_cluster && c->key.p)
		call->hash_slot = hash_slot(c->key);
	route_call(&r->router, call);
}

void redis_push(struct redis *r)
{
	topology_flush(topology_of(r));
}

/* Waiting */

void redis_wait_all(struct redis *r)
{
	redis_push(r); /* because a turn of the loop waits before it writes */
	while (r->calls.outstanding)
		loop_turn(r->loop, 100);
}

void redis_wait_up(struct redis *r)
{
	int64_t deadline = clock_mono_ms() + r->conf->redis_timeout_ms;
	while (!redis_is_up(r) && topology_is_trying(topology_of(r)) && clock_mono_ms() < deadline)
		loop_turn(r->loop, 10);
}

static void connect_again(struct redis *r)
{
	loop_turn(r->loop, 0); /* reads that a connection was lost since the last turn */
	topology_hurry(topology_of(r));
	redis_wait_up(r);
}

void redis_survey(struct redis *r)
{
	struct topology *t = topology_of(r);
	int64_t deadline = clock_mono_ms() + r->conf->redis_timeout_ms;
	unsigned reads = t->reads;
	connect_again(r);
	topology_add_replicas(t);
	while (t->is_cluster && (t->reads == reads || !topology_is_settled(t)) && topology_has_link(t) &&
	       clock_mono_ms() < deadline)
		loop_turn(r->loop, 10);
}

struct waited {
	struct arena *arena;
	enum redis_outcome outcome;
	const struct redis_reply *reply;
};

static void on_waited(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct waited *w = context;
	w->outcome = outcome;
	w->reply = redis_copy(w->arena, reply);
}

enum redis_outcome redis_call(struct redis *r, struct arena *a, const struct redis_command *c,
			      const struct redis_reply **reply)
{
	connect_again(r);
	struct waited w = { .arena = a };
	redis_send(r, c, on_waited, &w);
	redis_wait_all(r);
	if (reply)
		*reply = w.reply;
	return w.outcome;
}
