/*
 * Commands, replies, and the life of a call: routed to a link, answered in
 * order, sent again only where the server said that it did not execute it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "store/redis_link.h"

/* Replies */

enum redis_type redis_type(const struct redis_reply *r)
{
	const redisReply *reply = (const redisReply *)r;
	switch (reply ? reply->type : REDIS_REPLY_NIL) {
	case REDIS_REPLY_INTEGER:
		return REDIS_INT;
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
	case REDIS_REPLY_ERROR:
		return REDIS_TEXT;
	case REDIS_REPLY_ARRAY:
		return REDIS_LIST;
	default:
		return REDIS_NIL;
	}
}

size_t redis_count(const struct redis_reply *r)
{
	return redis_type(r) == REDIS_LIST ? ((const redisReply *)r)->elements : 0;
}

const struct redis_reply *redis_at(const struct redis_reply *r, size_t i)
{
	return i < redis_count(r) ? (const struct redis_reply *)((const redisReply *)r)->element[i] : NULL;
}

struct str redis_text(const struct redis_reply *r)
{
	const redisReply *reply = (const redisReply *)r;
	return redis_type(r) == REDIS_TEXT ? (struct str){ reply->str, (size_t)reply->len } : STR("");
}

int64_t redis_number(const struct redis_reply *r)
{
	int64_t value = 0;
	if (redis_type(r) == REDIS_INT)
		return ((const redisReply *)r)->integer;
	parse_int(redis_text(r), INT64_MIN, INT64_MAX, &value);
	return value;
}

struct str redis_text_at(const struct redis_reply *r, size_t i)
{
	return redis_text(redis_at(r, i));
}

int64_t redis_number_at(const struct redis_reply *r, size_t i)
{
	return redis_number(redis_at(r, i));
}

const struct redis_reply *redis_member(const struct redis_reply *map, const char *name)
{
	for (size_t i = 0; i + 1 < redis_count(map); i += 2)
		if (str_eq(redis_text_at(map, i), str_of(name)))
			return redis_at(map, i + 1);
	return NULL;
}

/* Commands */

void redis_put(struct redis_command *c, struct str word)
{
	size_t max = sizeof c->argv / sizeof c->argv[0];
	if ((size_t)c->argc == max || sizeof c->text - c->used < word.n)
		abort(); /* every word is bounded by its caller */
	char *at = c->text + c->used;
	if (word.n)
		memcpy(at, word.p, word.n);
	c->used += word.n;
	c->argv[c->argc] = at;
	c->length[c->argc++] = word.n;
}

void redis_put_text(struct redis_command *c, const char *word)
{
	redis_put(c, str_of(word));
}

void redis_put_int(struct redis_command *c, int64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%lld", (long long)value);
	redis_put(c, (struct str){ text, (size_t)n });
}

void redis_put_key(struct redis_command *c, struct str key)
{
	if (c->slot < 0)
		c->slot = route_slot(key);
	redis_put(c, key);
}

void redis_command(struct redis_command *c, const char *name)
{
	c->script = NULL;
	c->slot = c->server = -1;
	c->argc = 0;
	c->used = 0;
	redis_put_text(c, name);
}

void redis_script(struct redis_command *c, const struct redis_script *s, int keys)
{
	redis_command(c, "EVALSHA");
	c->script = s;
	redis_put_text(c, s->sha1);
	redis_put_int(c, keys);
}

/* The life of a call */

void call_end(struct call *call, enum redis_end end, const redisReply *reply)
{
	redis_done *done = call->done;
	void *context = call->context;
	call->redis->outstanding--;
	redisFreeCommand(call->text);
	free(call);
	if (done)
		done(context, end, (const struct redis_reply *)reply);
}

/* Once a second: a server that refuses everything would fill the log. */
static void complain(struct redis *r, const struct call *call, struct str error)
{
	int64_t now = clock_mono_ms();
	if (now - r->complained_ms < 1000)
		return;
	r->complained_ms = now;
	log_error("redis_error", LOG_STR("error", error), LOG_TEXT("script", call->script ? call->script->name : "-"));
}

static bool refuse(struct link *l, struct call *call, struct str error)
{
	(void)l;
	(void)call;
	(void)error;
	return false;
}

/* The server has forgotten the script: loads it and sends the call again, once. */
static bool reload(struct link *l, struct call *call, struct str error)
{
	(void)error;
	if (!call->script || call->reloaded)
		return false;
	call->reloaded = true;
	link_load(l, call->script);
	if (!link_send(l, call, false))
		call_end(call, REDIS_REFUSED, NULL);
	return true;
}

/*
 * Errors that say "not executed", and what is done about them: false leaves the call refused. Any other error is one
 * that no healthy server gives. Reliability rests on this list being short.
 */
static const struct {
	const char *word;
	bool (*cure)(struct link *l, struct call *call, struct str error);
} not_executed[] = {
	{ "NOSCRIPT", reload },
	{ "MOVED", route_moved },
	{ "ASK", route_ask },
	{ "TRYAGAIN", route_again },
	{ "CLUSTERDOWN", route_again },
	{ "READONLY", route_again },
	{ "MASTERDOWN", route_again },
	{ "LOADING", route_again },
	{ "BUSY", refuse },
	{ "MISCONF", refuse },
	{ "OOM", refuse },
	{ "NOREPLICAS", refuse },
	{ "NOAUTH", refuse },
	{ "NOPERM", refuse },
	{ "WRONGPASS", refuse },
};

static void on_error(struct link *l, struct call *call, redisReply *reply)
{
	struct str error = { reply->str, (size_t)reply->len };
	enum redis_end end = REDIS_BROKEN;
	for (size_t i = 0; i < sizeof not_executed / sizeof not_executed[0]; i++)
		if (str_starts(error, str_of(not_executed[i].word))) {
			if (not_executed[i].cure(l, call, error))
				return;
			end = REDIS_REFUSED;
			break;
		}
	complain(call->redis, call, error);
	call_end(call, end, reply);
}

void call_answered(struct link *l, struct call *call, redisReply *reply)
{
	if (!reply)
		call_end(call, REDIS_UNKNOWN, NULL);
	else if (reply->type == REDIS_REPLY_ERROR)
		on_error(l, call, reply);
	else
		call_end(call, REDIS_ANSWER, reply);
}

void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context)
{
	struct call *call = malloc(sizeof *call);
	if (!call)
		abort();
	*call = (struct call){ .redis = r,
			       .done = done,
			       .context = context,
			       .script = c->script,
			       .slot = c->slot,
			       .server = c->server,
			       .began_ms = clock_mono_ms() };
	/* hiredis takes the words as non-const, and does not change them */
	int n = (int)redisFormatCommandArgv(&call->text, c->argc, (const char **)c->argv, c->length);
	if (n < 0)
		abort();
	call->length = (size_t)n;
	r->outstanding++;
	if (c->script)
		r->counts.scripts++;
	else
		r->counts.commands++;
	route_call(r, call);
}

/* The whole */

struct redis *redis_new(struct loop *loop, const struct conf *conf, const char **problem)
{
	struct redis *r = calloc(1, sizeof *r);
	if (!r)
		abort();
	r->loop = loop;
	r->conf = conf;
	r->parked_last = &r->parked;
	r->password = conf_secret(&r->arena, conf->redis_password_file, problem);
	if (!r->password)
		*problem = strdup(*problem); /* the arena ends with r */
	else
		*problem = route_open(r);
	if (!*problem)
		return r;
	arena_release(&r->arena);
	free(r);
	return NULL;
}

void redis_free(struct redis *r)
{
	if (!r)
		return;
	r->closing = true;
	route_close(r);
	arena_release(&r->arena);
	free(r);
}

struct redis_counts redis_counts(const struct redis *r)
{
	return r->counts;
}

/* The blocking call */

struct wait {
	struct arena *arena;
	bool over;
	enum redis_end end;
	struct redis_reply *reply;
};

static redisReply *keep(struct arena *a, const redisReply *from)
{
	redisReply *to = arena_alloc(a, sizeof *to);
	*to = *from;
	if (from->str)
		to->str = arena_strndup(a, from->str, (size_t)from->len);
	if (from->elements) {
		to->element = arena_alloc(a, from->elements * sizeof *to->element);
		for (size_t i = 0; i < from->elements; i++)
			to->element[i] = keep(a, from->element[i]);
	}
	return to;
}

static void on_waited(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct wait *w = context;
	w->over = true;
	w->end = end;
	if (reply)
		w->reply = (struct redis_reply *)keep(w->arena, (const redisReply *)reply);
}

void redis_settle(struct redis *r)
{
	for (struct link *l = r->links; l; l = l->next)
		link_flush(l); /* a turn waits first and writes last */
	while (r->outstanding)
		loop_turn(r->loop, 100);
}

enum redis_end redis_call(struct redis *r, struct arena *a, const struct redis_command *c,
			  const struct redis_reply **reply)
{
	int64_t deadline = clock_mono_ms() + r->conf->redis_timeout_ms;
	loop_turn(r->loop, 0); /* notices a connection that was lost while nobody looked */
	route_hurry(r);
	while (!redis_is_up(r) && route_is_trying(r) && clock_mono_ms() < deadline)
		loop_turn(r->loop, 10);
	struct wait w = { .arena = a };
	redis_send(r, c, on_waited, &w);
	redis_settle(r);
	if (reply)
		*reply = w.reply;
	return w.end;
}
