/*
 * Replies, and the life of a call: routed to a link, answered in
 * order, sent again only where the server said that it did not execute it.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "redis/link.h"

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
	redis_number_in(r, -NUMBER_MAX, NUMBER_MAX, &value);
	return value;
}

bool redis_number_in(const struct redis_reply *r, int64_t min, int64_t max, int64_t *value)
{
	if (redis_type(r) != REDIS_INT)
		return parse_int(redis_text(r), min, max, value);
	int64_t number = ((const redisReply *)r)->integer;
	if (number < min || number > max)
		return false;
	*value = number;
	return true;
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

/* The life of a call. Those that have ended are kept for the next ones: a call and its text cost no allocation. */

#ifdef __SANITIZE_ADDRESS__
enum { SPARES = 0 }; /* so that a use after its end is seen */
#else
enum { SPARES = 256 };
#endif

static struct call *call_new(struct redis *r)
{
	struct call *call = r->spare;
	if (call) {
		r->spare = call->next;
		r->spares--;
	} else if (!(call = malloc(sizeof *call))) {
		abort();
	}
	return call;
}

static void call_free(struct redis *r, struct call *call)
{
	if (call->text != call->room)
		free(call->text);
	if (r->spares == SPARES) {
		free(call);
		return;
	}
	call->next = r->spare;
	r->spare = call;
	r->spares++;
}

/* A command as it is sent; of a batch, the words alone. */
static void write_text(struct call *call, const struct redis_command *c)
{
	char head[1 + BUF_DIGITS + 2] = "*";
	size_t n = 0;
	if (!c->batch) {
		n = 1 + buf_digits(head + 1, c->argc);
		memcpy(head + n, "\r\n", 2);
		n += 2;
	}
	call->length = n + c->used;
	call->text = call->length <= sizeof call->room ? call->room : malloc(call->length);
	if (!call->text)
		abort();
	memcpy(call->text, head, n);
	memcpy(call->text + n, c->text, c->used);
	call->run = c->run ? n + c->run : 0;
}

void call_end(struct call *call, enum redis_outcome end, const redisReply *reply)
{
	redis_done *done = call->done;
	void *context = call->context;
	call->redis->outstanding--;
	call_free(call->redis, call);
	if (done)
		done(context, end, (const struct redis_reply *)reply);
}

static void complain(const struct call *call, struct str error)
{
	log_error_limited("redis_error", LOG_STR("error", error),
			  LOG_TEXT("script", call->script ? call->script->name : "-"));
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
	{ "READONLY", route_again },
	{ "CLUSTERDOWN", route_unready },
	{ "MASTERDOWN", route_unready },
	{ "LOADING", route_unready },
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
	enum redis_outcome end = REDIS_BROKEN;
	for (size_t i = 0; i < sizeof not_executed / sizeof not_executed[0]; i++)
		if (str_starts(error, str_of(not_executed[i].word))) {
			if (not_executed[i].cure(l, call, error))
				return;
			end = REDIS_REFUSED;
			break;
		}
	complain(call, error);
	call_end(call, end, reply);
}

void call_answered(struct link *l, struct call *call, redisReply *reply)
{
	if (!reply)
		call_end(call, REDIS_UNKNOWN, NULL);
	else if (reply->type == REDIS_REPLY_ERROR)
		on_error(l, call, reply);
	else {
		l->unready_ms = 0;
		call_end(call, REDIS_ANSWER, reply);
	}
}

static struct str name_of(const struct redis_command *c)
{
	const char *at = memchr(c->text, '\n', c->used);
	return c->script ? str_of(c->script->name) : at ? (struct str){ at + 1, strcspn(at + 1, "\r") } : STR("-");
}

void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context)
{
	if (c->overlong) {
		log_error_limited("redis_command_overlong", LOG_STR("command", name_of(c)));
		if (done)
			done(context, REDIS_BROKEN, NULL);
		return;
	}
	struct call *call = call_new(r);
	call->redis = r;
	call->done = done;
	call->context = context;
	call->script = c->script;
	call->slot = r->cluster && c->key.p ? route_slot(c->key) : -1;
	call->server = c->server;
	call->redirects = 0;
	call->reloaded = false;
	call->alone = false;
	call->batch = c->batch;
	call->keys = c->keys;
	call->arguments = c->argc - c->keys;
	call->keys_end = c->keys_end;
	call->began_ms = clock_mono_ms();
	write_text(call, c);
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
	struct redis *r = alloc_zeroed(1, sizeof *r);
	r->loop = loop;
	r->conf = conf;
	r->parked_last = &r->parked;
	if (conf->wait_ms >= conf->redis_timeout_ms) {
		*problem = "wait_ms must be below redis_timeout_ms";
		free(r);
		return NULL;
	}
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
	for (struct call *call; (call = r->spare); free(call))
		r->spare = call->next;
	arena_release(&r->arena);
	free(r->scratch);
	free(r);
}

struct redis_counts redis_counts(const struct redis *r)
{
	return r->counts;
}

unsigned redis_changes(const struct redis *r)
{
	return r->changes;
}

int64_t redis_changed_ms(const struct redis *r)
{
	return r->changed_ms;
}

/* The blocking call */

struct wait {
	struct arena *arena;
	bool over;
	enum redis_outcome end;
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

static void on_waited(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct wait *w = context;
	w->over = true;
	w->end = end;
	if (reply)
		w->reply = (struct redis_reply *)keep(w->arena, (const redisReply *)reply);
}

void redis_push(struct redis *r)
{
	for (struct link *l = r->links; l; l = l->next)
		link_flush(l);
}

void redis_wait_all(struct redis *r)
{
	redis_push(r); /* a turn waits first and writes last */
	while (r->outstanding)
		loop_turn(r->loop, 100);
}

void redis_wait_up(struct redis *r)
{
	int64_t deadline = clock_mono_ms() + r->conf->redis_timeout_ms;
	while (!redis_is_up(r) && route_is_trying(r) && clock_mono_ms() < deadline)
		loop_turn(r->loop, 10);
}

enum redis_outcome redis_call(struct redis *r, struct arena *a, const struct redis_command *c,
			      const struct redis_reply **reply)
{
	loop_turn(r->loop, 0); /* notices a connection that was lost while nobody looked */
	route_hurry(r);
	redis_wait_up(r);
	struct wait w = { .arena = a };
	redis_send(r, c, on_waited, &w);
	redis_wait_all(r);
	if (reply)
		*reply = w.reply;
	return w.end;
}
