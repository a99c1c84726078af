/*
 * hiredis's asynchronous context on our loop. Every command in flight is a
 * `call`, kept in order; the formatted text stays with it until the answer,
 * so that a script the server has forgotten can be loaded and sent again
 * (NOSCRIPT means: not executed). The oldest call carries the deadline.
 */
#include "store/redis.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"

struct call {
	struct redis *redis;
	struct call *next;
	redis_done *done;
	void *context;
	const struct redis_script *script;
	bool reloaded;
	int64_t sent_ms;
	char *text;
	size_t length;
};

enum { RETRY_MIN_MS = 50, RETRY_MAX_MS = 1000, WATCH_MS = 50 };

struct redis {
	struct loop *loop;
	const struct conf *conf;
	redisAsyncContext *ac;
	struct loop_io io;
	struct loop_hook flush;
	struct loop_timer retry, watch;
	bool up, connecting, wants_write, watches_writes, closing;
	int retry_ms;
	int64_t complained_ms;
	struct call *first, **last; /* in flight, oldest first */
	struct redis_counts counts;
	struct arena arena; /* the password */
	const char *password;
};

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

void redis_command(struct redis_command *c, const char *name)
{
	c->script = NULL;
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

/* The ends of a call */

static void finish(struct call *call, enum redis_end end, const redisReply *reply)
{
	redis_done *done = call->done;
	void *context = call->context;
	redisFreeCommand(call->text);
	free(call);
	if (done)
		done(context, end, (const struct redis_reply *)reply);
}

/* What an error reply says about the command: reliability rests on this list being short. */
static enum redis_end classify(struct str error)
{
	static const char *const refused[] = { "NOSCRIPT", "BUSY",	"LOADING",	 "READONLY",	"MISCONF",
		                               "OOM",	   "NOREPLICAS", "MASTERDOWN", "MOVED",	"ASK",
		                               "TRYAGAIN", "CLUSTERDOWN", "NOAUTH",	 "NOPERM",	"WRONGPASS" };
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if (str_starts(error, str_of(refused[i])))
			return REDIS_REFUSED;
	return REDIS_BROKEN;
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

static void queue(struct redis *r, struct call *call);

static void load_and_resend(struct redis *r, struct call *call)
{
	call->reloaded = true;
	redisAsyncCommand(r->ac, NULL, NULL, "SCRIPT LOAD %s", call->script->text);
	queue(r, call);
}

static void on_reply(redisAsyncContext *ac, void *raw, void *context)
{
	struct call *call = context;
	struct redis *r = call->redis;
	redisReply *reply = raw;
	(void)ac;

	r->first = call->next;
	if (!r->first)
		r->last = &r->first;
	if (!reply) {
		r->up = false; /* before the callback, which may send */
		finish(call, REDIS_UNKNOWN, NULL);
		return;
	}
	if (reply->type != REDIS_REPLY_ERROR) {
		finish(call, REDIS_ANSWER, reply);
		return;
	}
	struct str error = { reply->str, (size_t)reply->len };
	if (call->script && !call->reloaded && r->up && str_starts(error, STR("NOSCRIPT"))) {
		load_and_resend(r, call);
		return;
	}
	enum redis_end end = classify(error);
	complain(r, call, error);
	finish(call, end, reply);
}

static void queue(struct redis *r, struct call *call)
{
	if (redisAsyncFormattedCommand(r->ac, on_reply, call, call->text, call->length) != REDIS_OK) {
		r->up = false; /* the connection is on its way out */
		finish(call, REDIS_REFUSED, NULL);
		return;
	}
	call->sent_ms = clock_mono_ms();
	call->next = NULL;
	*r->last = call;
	r->last = &call->next;
}

/* The connection */

static void connect_now(struct redis *r);

static void on_io(struct loop_io *io, uint32_t events)
{
	struct redis *r = (struct redis *)((char *)io - offsetof(struct redis, io));
	if (r->ac && (events & EPOLLOUT))
		redisAsyncHandleWrite(r->ac);
	if (r->ac && (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		redisAsyncHandleRead(r->ac);
}

/* Asked for only while output waits: a socket is nearly always writable. */
static void watch_writes(struct redis *r, bool on)
{
	if (on != r->watches_writes && loop_change(r->loop, &r->io, EPOLLIN | EPOLLRDHUP | (on ? EPOLLOUT : 0)) == 0)
		r->watches_writes = on;
}

static void on_flush(struct loop_hook *h)
{
	struct redis *r = (struct redis *)((char *)h - offsetof(struct redis, flush));
	if (r->ac && r->wants_write && !r->connecting)
		redisAsyncHandleWrite(r->ac);
	if (r->ac)
		watch_writes(r, r->wants_write || r->connecting);
}

static void want_write(void *context)
{
	((struct redis *)context)->wants_write = true;
}

static void drop_write(void *context)
{
	((struct redis *)context)->wants_write = false;
}

static void on_cleanup(void *context)
{
	struct redis *r = context;
	loop_remove(r->loop, &r->io);
	r->ac = NULL;
	r->up = false;
	r->connecting = false;
}

static void retry_later(struct redis *r)
{
	if (r->closing)
		return;
	loop_timer_set(r->loop, &r->retry, r->retry_ms);
	r->retry_ms = r->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : r->retry_ms * 2;
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redis *r = ac->data;
	if (!r->closing)
		log_warn("redis_lost", LOG_TEXT("reason", status == REDIS_OK ? "closed" : ac->errstr));
	r->up = false;
	retry_later(r);
}

static void on_authenticated(redisAsyncContext *ac, void *raw, void *context)
{
	(void)context;
	redisReply *reply = raw;
	if (reply && reply->type == REDIS_REPLY_ERROR) {
		log_error("redis_login_refused", LOG_STR("error", ((struct str){ reply->str, (size_t)reply->len })));
		redisAsyncDisconnect(ac);
	}
}

static void on_connect(const redisAsyncContext *const_ac, int status)
{
	struct redis *r = const_ac->data;
	r->connecting = false;
	if (status != REDIS_OK) {
		log_warn("redis_away", LOG_TEXT("reason", const_ac->errstr));
		retry_later(r); /* hiredis frees the context after this */
		return;
	}
	r->counts.reconnects++;
	r->retry_ms = RETRY_MIN_MS;
	r->up = true;
	if (*r->conf->redis_user)
		redisAsyncCommand(r->ac, on_authenticated, NULL, "AUTH %s %s", r->conf->redis_user, r->password);
	else if (*r->password)
		redisAsyncCommand(r->ac, on_authenticated, NULL, "AUTH %s", r->password);
}

static redisAsyncContext *dial(const char *address)
{
	if (strncmp(address, "unix:", 5) == 0)
		return redisAsyncConnectUnix(address + 5);
	const char *colon = strrchr(address, ':');
	char host[256];
	snprintf(host, sizeof host, "%.*s", (int)(colon - address - 4), address + 4);
	return redisAsyncConnect(host, atoi(colon + 1));
}

static void connect_now(struct redis *r)
{
	redisAsyncContext *ac = dial(r->conf->redis);
	if (!ac || ac->err) {
		log_warn("redis_away", LOG_TEXT("reason", ac ? ac->errstr : "out of memory"));
		if (ac)
			redisAsyncFree(ac);
		retry_later(r);
		return;
	}
	r->ac = ac;
	r->connecting = true;
	r->wants_write = false;
	r->watches_writes = true;
	ac->data = r;
	ac->ev.data = r;
	ac->ev.addWrite = want_write;
	ac->ev.delWrite = drop_write;
	ac->ev.cleanup = on_cleanup;
	r->io = (struct loop_io){ .fd = ac->c.fd, .fn = on_io };
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
	redisAsyncSetConnectCallback(ac, on_connect);
	if (loop_add(r->loop, &r->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP) < 0)
		abort();
}

static void on_retry(struct loop_timer *t)
{
	struct redis *r = (struct redis *)((char *)t - offsetof(struct redis, retry));
	if (!r->ac)
		connect_now(r);
	else
		loop_timer_set(r->loop, &r->retry, RETRY_MIN_MS); /* the old context is still being freed */
}

/* Answers come in order, so the oldest call tells whether the server still answers. */
static void on_watch(struct loop_timer *t)
{
	struct redis *r = (struct redis *)((char *)t - offsetof(struct redis, watch));
	if (r->ac && r->first && clock_mono_ms() - r->first->sent_ms > r->conf->redis_timeout_ms) {
		log_warn("redis_timeout", LOG_INT("after_ms", clock_mono_ms() - r->first->sent_ms));
		redisAsyncFree(r->ac);
	}
	loop_timer_set(r->loop, &r->watch, WATCH_MS);
}

static bool address_ok(const char *address)
{
	int64_t port;
	if (strncmp(address, "unix:", 5) == 0)
		return address[5] != '\0';
	const char *colon = strrchr(address, ':');
	return strncmp(address, "tcp:", 4) == 0 && colon > address + 4 && parse_int(str_of(colon + 1), 1, 65535, &port);
}

struct redis *redis_new(struct loop *loop, const struct conf *conf, const char **problem)
{
	if (!address_ok(conf->redis)) {
		*problem = "redis must be unix:PATH or tcp:HOST:PORT";
		return NULL;
	}
	struct redis *r = calloc(1, sizeof *r);
	if (!r)
		abort();
	r->loop = loop;
	r->conf = conf;
	r->last = &r->first;
	r->retry_ms = RETRY_MIN_MS;
	r->flush.fn = on_flush;
	r->retry.fn = on_retry;
	r->watch.fn = on_watch;
	r->password = conf_secret(&r->arena, conf->redis_password_file, problem);
	if (!r->password) {
		*problem = strdup(*problem);
		arena_release(&r->arena);
		free(r);
		return NULL;
	}
	loop_hook_add(loop, &r->flush);
	loop_timer_set(loop, &r->watch, WATCH_MS);
	connect_now(r);
	return r;
}

void redis_free(struct redis *r)
{
	if (!r)
		return;
	r->closing = true;
	loop_timer_cancel(r->loop, &r->retry);
	loop_timer_cancel(r->loop, &r->watch);
	loop_hook_remove(r->loop, &r->flush);
	if (r->ac)
		redisAsyncFree(r->ac);
	arena_release(&r->arena);
	free(r);
}

bool redis_is_up(const struct redis *r)
{
	return r->up;
}

void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context)
{
	if (!r->up) {
		if (done)
			done(context, REDIS_REFUSED, NULL);
		return;
	}
	struct call *call = malloc(sizeof *call);
	if (!call)
		abort();
	*call = (struct call){ .redis = r, .done = done, .context = context, .script = c->script };
	/* hiredis takes the words as non-const, and does not change them */
	int n = (int)redisFormatCommandArgv(&call->text, c->argc, (const char **)c->argv, c->length);
	if (n < 0)
		abort();
	call->length = (size_t)n;
	if (c->script)
		r->counts.scripts++;
	else
		r->counts.commands++;
	queue(r, call);
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
	on_flush(&r->flush); /* a turn waits first and writes last */
	while (r->first)
		loop_turn(r->loop, 100);
}

enum redis_end redis_call(struct redis *r, struct arena *a, const struct redis_command *c,
                          const struct redis_reply **reply)
{
	int64_t deadline = clock_mono_ms() + r->conf->redis_timeout_ms;
	loop_turn(r->loop, 0); /* notices a connection that was lost while nobody looked */
	while (!r->up && clock_mono_ms() < deadline)
		loop_turn(r->loop, 10);
	struct wait w = { .arena = a };
	redis_send(r, c, on_waited, &w);
	redis_settle(r);
	if (reply)
		*reply = w.reply;
	return w.end;
}
