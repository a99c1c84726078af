/*
 * hiredis's asynchronous context on our loop. Answers come in order, so the
 * oldest call in flight tells whether the server still answers.
 */
#include "redis/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/lookup.h"
#include "host/log.h"

enum { RETRY_MIN_MS = 50, RETRY_MAX_MS = 250, UNNEEDED_MAX_MS = 10000, WATCH_MS = 50, LEARN_MS = 200, AWAY_MS = 250 };

static struct link *of(void *member, size_t offset)
{
	return (struct link *)((char *)member - offset);
}

/* Calls */

static void on_reply(redisAsyncContext *ac, void *reply, void *context)
{
	struct call *call = context;
	struct link *l = call->link;
	(void)ac;
	l->first = call->next;
	if (!l->first)
		l->last = &l->first;
	if (!reply)
		l->up = false; /* before the callback, which may send */
	l->redis->answering = l;
	if (call->batch)
		batch_answered(l, call, reply);
	else
		call_answered(l, call, reply);
}

bool link_write(struct link *l, struct call *call, const char *text, size_t n)
{
	if (redisAsyncFormattedCommand(l->ac, on_reply, call, text, n) != REDIS_OK) {
		l->up = false; /* the connection is on its way out */
		return false;
	}
	call->link = l;
	call->sent_ms = clock_mono_ms();
	call->next = NULL;
	*l->last = call;
	l->last = &call->next;
	return true;
}

bool link_send(struct link *l, struct call *call, bool asking)
{
	if (!l->up)
		return false;
	bool alone = asking || call->alone;
	if (alone || !call->batch)
		batch_flush(l); /* commands leave in their order */
	if (!l->up)
		return false;
	if (asking)
		redisAsyncCommand(l->ac, NULL, NULL, "ASKING");
	if (call->batch) {
		batch_add(l, call);
		if (alone)
			batch_flush(l);
		return true;
	}
	if (call->run)
		memcpy(call->text + call->run, l->run, REDIS_INCARNATION);
	return link_write(l, call, call->text, call->length);
}

void link_load(struct link *l, const struct redis_script *s)
{
	bool is_on_its_way = l->gathered && l->gathered->reloaded && l->gathered->script == s;
	if (l->up && !is_on_its_way)
		redisAsyncCommand(l->ac, NULL, NULL, "SCRIPT LOAD %s", s->text);
}

/* Asked for only while output waits: a socket is nearly always writable. */
static void watch_writes(struct link *l, bool on)
{
	if (on != l->watches_writes &&
	    loop_change(l->redis->loop, &l->io, EPOLLIN | EPOLLRDHUP | (on ? EPOLLOUT : 0)) == 0)
		l->watches_writes = on;
}

void link_flush(struct link *l)
{
	batch_flush(l);
	confirm_flush(l);
	if (l->ac && l->wants_write && !l->connecting)
		redisAsyncHandleWrite(l->ac);
	if (l->ac)
		watch_writes(l, l->wants_write || l->connecting);
}

static void on_flush(struct loop_hook *h)
{
	link_flush(of(h, offsetof(struct link, flush)));
}

static void on_io(struct loop_io *io, uint32_t events)
{
	struct link *l = of(io, offsetof(struct link, io));
	if (l->ac && (events & EPOLLOUT))
		redisAsyncHandleWrite(l->ac);
	if (l->ac && (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		redisAsyncHandleRead(l->ac);
}

/* The connection */

static void want_write(void *context)
{
	((struct link *)context)->wants_write = true;
}

static void drop_write(void *context)
{
	((struct link *)context)->wants_write = false;
}

static void on_cleanup(void *context)
{
	struct link *l = context;
	loop_remove(l->redis->loop, &l->io);
	l->ac = NULL;
	l->up = l->connecting = false;
}

static void retry_later(struct link *l)
{
	int most = route_needs(l) ? RETRY_MAX_MS : UNNEEDED_MAX_MS;
	if (l->redis->closing || l->closing)
		return;
	loop_timer_set(l->redis->loop, &l->retry, l->retry_ms < most ? l->retry_ms : most);
	l->retry_ms = l->retry_ms * 2 > most ? most : l->retry_ms * 2;
}

static void set_problem(struct link *l, bool refused, const char *text)
{
	l->refused = refused;
	snprintf(l->problem, sizeof l->problem, "%s: %s", l->address, text);
}

static void set_failure(struct link *l, bool refused, const char *text)
{
	l->failed_ms = clock_mono_ms();
	if (!l->away_ms)
		l->away_ms = l->failed_ms;
	set_problem(l, refused, text);
}

/* The first time it is news; then it is what every try to connect meets. */
static void lost(struct link *l, const char *event, const char *reason)
{
	if (l->served)
		log_warn(event, LOG_TEXT("server", l->address), LOG_TEXT("reason", reason));
	else
		log_warn_limited(event, LOG_TEXT("server", l->address), LOG_TEXT("reason", reason));
	if (l->served || !l->refused)
		set_failure(l, false, reason);
}

static void away(struct link *l, const char *reason)
{
	log_warn_limited("redis_away", LOG_TEXT("server", l->address), LOG_TEXT("reason", reason));
	set_failure(l, false, reason);
}

static void refused(struct link *l, const redisReply *error)
{
	log_error_limited("redis_login_refused", LOG_TEXT("server", l->address),
			  LOG_STR("error", ((struct str){ error->str, (size_t)error->len })));
	set_failure(l, true, error->str);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;
	l->up = false;
	if (l->redis->closing || l->closing)
		return;
	lost(l, "redis_lost", l->violation ? l->violation : status == REDIS_OK ? "closed" : ac->errstr);
	retry_later(l);
	route_link_changed(l);
}

/*
 * A life of a server: half of its run_id, which is the process's, and half of its master_replid, which is the history's
 * of its data. INFO tells both. A server that does not tell is served, but not recognised after a restart.
 */
static const struct tale {
	const char *section, *field;
	size_t at;
} tales[] = { { "server", "\nrun_id:", 0 }, { "replication", "\nmaster_replid:", REDIS_INCARNATION / 2 } };

static void read_tale(struct link *l, const struct tale *t, const redisReply *reply)
{
	const char *at = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, t->field) : NULL;
	memset(l->told + t->at, '0', REDIS_INCARNATION / 2);
	if (at && strspn(at + strlen(t->field), "0123456789abcdef") >= REDIS_INCARNATION / 2)
		memcpy(l->told + t->at, at + strlen(t->field), REDIS_INCARNATION / 2);
	else
		log_warn_limited("redis_run_unknown", LOG_TEXT("server", l->address));
}

static void on_tale(redisAsyncContext *ac, void *raw, void *context)
{
	struct link *l = ac->data;
	const struct tale *t = context;
	const redisReply *reply = raw;
	if (!reply)
		return; /* lost again */
	if (t->at)
		l->learning = false;
	if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) != 0) {
		if (!l->up && !l->refused)
			refused(l, reply);
		if (!l->up)
			redisAsyncDisconnect(ac); /* BUSY, for instance: it will tell another time */
		return;
	}
	read_tale(l, t, reply);
	if (reply->type == REDIS_REPLY_STRING && strstr(reply->str, "redis_mode:cluster"))
		l->redis->sharded = true;
	if (!t->at)
		return;
	if (!l->up || memcmp(l->run, l->told, REDIS_INCARNATION) != 0) {
		l->redis->changes++;
		l->redis->changed_ms = clock_mono_ms();
	}
	memcpy(l->run, l->told, REDIS_INCARNATION);
	if (l->up)
		return;
	l->retry_ms = RETRY_MIN_MS;
	l->up = l->served = true;
	l->refused = false;
	l->away_ms = l->unready_ms = 0;
	l->problem[0] = '\0';
	route_link_changed(l);
}

/* Asked again and again: a server that was demoted and promoted keeps its connections. */
static void ask_life(struct link *l)
{
	l->learned_ms = clock_mono_ms();
	l->learning = true;
	for (size_t i = 0; i < sizeof tales / sizeof tales[0]; i++)
		redisAsyncCommand(l->ac, on_tale, (void *)&tales[i], "INFO %s", tales[i].section);
}

void link_learn(struct link *l)
{
	if (!l->up)
		return;
	l->up = false; /* nothing is sent before it is known */
	l->dialed_ms = clock_mono_ms();
	ask_life(l);
}

static void on_authenticated(redisAsyncContext *ac, void *raw, void *context)
{
	(void)context;
	struct link *l = ac->data;
	redisReply *reply = raw;
	if (!reply)
		return; /* lost again */
	l->refused = false;
	if (reply->type == REDIS_REPLY_ERROR) {
		refused(l, reply);
		redisAsyncDisconnect(ac);
	}
}

static void on_connect(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;
	const struct conf *conf = l->redis->conf;
	l->connecting = false;
	if (status != REDIS_OK) {
		away(l, ac->errstr);
		retry_later(l); /* hiredis frees the context after this */
		return;
	}
	l->redis->counts.reconnects++;
	if (*conf->redis_user)
		redisAsyncCommand(l->ac, on_authenticated, NULL, "AUTH %s %s", conf->redis_user, l->redis->password);
	else if (*l->redis->password)
		redisAsyncCommand(l->ac, on_authenticated, NULL, "AUTH %s", l->redis->password);
	ask_life(l);
}

/* Of an address, where hiredis asks no name server. */
static redisAsyncContext *dial(const char *host, int port)
{
	return port ? redisAsyncConnect(host, port) : redisAsyncConnectUnix(host);
}

static void connect_to(struct link *l, const char *host, int port)
{
	redisAsyncContext *ac = dial(host, port);
	if (!ac || ac->err) {
		away(l, ac ? ac->errstr : "out of memory");
		if (ac)
			redisAsyncFree(ac);
		retry_later(l);
		return;
	}
	l->ac = ac;
	l->dialed_ms = clock_mono_ms();
	l->connecting = true;
	l->served = false;
	l->wants_write = false;
	l->watches_writes = true;
	ac->data = l;
	ac->ev.data = l;
	ac->ev.addWrite = want_write;
	ac->ev.delWrite = drop_write;
	ac->ev.cleanup = on_cleanup;
	l->violation = NULL;
	guard_replies(l);
	l->io = (struct loop_io){ .fd = ac->c.fd, .fn = on_io };
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
	redisAsyncSetConnectCallback(ac, on_connect);
	if (loop_add(l->redis->loop, &l->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP) < 0)
		abort();
}

/* Names */

static void stop_lookup(struct link *l)
{
	if (!l->lookup.fn)
		return;
	loop_remove(l->redis->loop, &l->lookup);
	close(l->lookup.fd);
	l->lookup.fn = NULL;
}

static void on_lookup(struct loop_io *io, uint32_t events)
{
	struct link *l = of(io, offsetof(struct link, lookup));
	struct lookup found = lookup_end(io->fd);
	char host[ADDRESS];
	int port;
	(void)events;
	stop_lookup(l);
	address_split(l->address, host, &port);
	if (!found.problem) {
		connect_to(l, found.address, port);
		return;
	}
	away(l, found.problem);
	retry_later(l);
}

/* A name server may be slow: the loop goes on meanwhile. */
static void look_up(struct link *l, const char *host)
{
	int fd = lookup_start(host);
	if (fd < 0) {
		away(l, "the host's name cannot be looked up: no thread");
		retry_later(l);
		return;
	}
	if (!*l->problem)
		set_problem(l, false, "the host's name is being looked up");
	l->lookup = (struct loop_io){ .fd = fd, .fn = on_lookup };
	if (loop_add(l->redis->loop, &l->lookup, EPOLLIN) < 0)
		abort();
}

static void connect_now(struct link *l)
{
	char host[ADDRESS];
	int port;
	if (strncmp(l->address, "unix:", 5) == 0) {
		connect_to(l, l->address + 5, 0);
		return;
	}
	address_split(l->address, host, &port);
	if (lookup_is_address(host))
		connect_to(l, host, port);
	else
		look_up(l, host);
}

static void on_retry(struct loop_timer *t)
{
	struct link *l = of(t, offsetof(struct link, retry));
	if (!l->ac)
		connect_now(l);
	else
		loop_timer_set(l->redis->loop, &l->retry, RETRY_MIN_MS); /* the old context is still being freed */
}

/* A loop that stood still has not tried for a while: what it knew of a server that was away is old. */
void link_hurry(struct link *l)
{
	if (l->ac || l->lookup.fn)
		return;
	if (clock_mono_ms() - l->failed_ms > 2 * RETRY_MAX_MS)
		l->away_ms = 0;
	loop_timer_cancel(l->redis->loop, &l->retry);
	connect_now(l);
}

bool link_is_away(const struct link *l)
{
	return !l->up && l->away_ms && clock_mono_ms() - l->away_ms > AWAY_MS;
}

bool link_is_unready(struct link *l)
{
	if (!l->unready_ms)
		l->unready_ms = clock_mono_ms();
	return clock_mono_ms() - l->unready_ms > AWAY_MS;
}

/* The oldest thing that it owes us: a connection, an answer to a call, or one to our own question when nobody calls. */
static bool is_late(const struct link *l)
{
	int64_t since = !l->up ? l->dialed_ms : l->first ? l->first->sent_ms : l->learned_ms;
	bool owes = !l->up || l->first || l->learning;
	return owes && clock_mono_ms() - since > l->redis->conf->redis_timeout_ms;
}

/* hiredis tells of the end of a connection only when there was one. */
static void hang_up(struct link *l)
{
	bool was_connected = l->ac->c.flags & REDIS_CONNECTED;
	lost(l, "redis_timeout", "no answer in time");
	redisAsyncFree(l->ac);
	set_failure(l, false, "no answer in time");
	if (!was_connected)
		retry_later(l);
}

static void on_watch(struct loop_timer *t)
{
	struct link *l = of(t, offsetof(struct link, watch));
	if (l->ac && !l->connecting && is_late(l))
		redisAsyncHandleRead(l->ac); /* the answer may be here, and we were late */
	bool late = l->ac && is_late(l), unsent = l->wants_write && l->up;
	if (late && unsent && !l->was_late) /* what is late was perhaps not sent, as we stood still */
		redisAsyncHandleWrite(l->ac);
	else if (late)
		hang_up(l);
	l->was_late = late;
	if (l->ac && l->up && !l->learning && clock_mono_ms() - l->learned_ms > LEARN_MS)
		ask_life(l);
	loop_timer_set(l->redis->loop, &l->watch, WATCH_MS);
}

struct link *link_open(struct redis *r, const char *address)
{
	struct link *l = alloc_zeroed(1, sizeof *l);
	l->redis = r;
	l->named_ms = clock_mono_ms();
	l->replicas = -1;
	snprintf(l->address, sizeof l->address, "%s", address);
	l->last = &l->first;
	l->retry_ms = RETRY_MIN_MS;
	l->flush.fn = on_flush;
	l->retry.fn = on_retry;
	l->watch.fn = on_watch;
	loop_hook_add(r->loop, &l->flush);
	loop_timer_set(r->loop, &l->watch, WATCH_MS);
	connect_now(l);
	return l;
}

bool link_is_idle(const struct link *l)
{
	return !l->first && !l->gathered && !l->confirms;
}

void link_close(struct link *l)
{
	struct loop *loop = l->redis->loop;
	l->closing = true;
	stop_lookup(l);
	loop_timer_cancel(loop, &l->retry);
	loop_timer_cancel(loop, &l->watch);
	loop_hook_remove(loop, &l->flush);
	if (l->ac)
		redisAsyncFree(l->ac);
	batch_flush(l);
	confirm_flush(l);
	free(l);
}
