/*
 * Runs hiredis's asynchronous context on our loop. Replies come in the order of the commands, so if any reply is late,
 * it is that to the oldest call in flight.
 */
#include "redis/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/log.h"
#include "redis/dial.h"
#include "resp/protocol.h"
#include "redis/replicate.h"

enum {
	RETRY_MIN_MS = 50,       /* until the first new try to connect; doubled for each further try, */
	RETRY_MAX_MS = 250,      /* up to this for a server that is needed, */
	UNNEEDED_MAX_MS = 10000, /* and up to this for another */
	WATCH_MS = 50,           /* between two looks whether a reply is late */
	INFO_MS = 200,           /* between two INFO, which read the incarnation */
	AWAY_MS = 250,           /* how long calls wait for a server that cannot be reached, or is not ready */
};

struct link {
	struct link_shared *shared;
	void *owner;
	struct dial dial;
	redisAsyncContext *ac; /* NULL: not connected */
	struct protocol_guard guard;
	struct loop_io io;
	struct loop_timer retry, watch;
	bool is_closing;
	bool is_up; /* connected, and its incarnation is known */
	bool is_connecting, wants_write, watches_writes;
	bool was_late;     /* a reply was late when on_watch ran last */
	bool was_up;       /* this connection was up */
	bool is_refused;   /* `problem` is an error that the server answered */
	bool is_info_due;  /* INFO was sent at info_ms, and its reply has not come */
	char problem[512]; /* why the link is not up; empty when it is up */
	char incarnation[REDIS_INCARNATION + 1];
	char info_incarnation[REDIS_INCARNATION]; /* as the replies to INFO give it now */
	int retry_ms;
	int64_t dialed_ms, info_ms;
	int64_t away_ms;             /* since when every try to connect has failed; 0: the last one did not fail */
	int64_t failed_ms;           /* when a try failed last */
	int64_t unready_ms;          /* since when the server executes no commands (LOADING, CLUSTERDOWN); 0: it does */
	struct call_queue in_flight; /* oldest first; a batch is in it as its first call */
	struct call_queue waiting;   /* to leave as batches */
	int batches;                 /* in flight */
	const struct redis_script *loading; /* a SCRIPT LOAD of it is in flight */
	struct loop_hook turn_end;
	struct replicate *replicate; /* wait for the next WAIT */
};

/* Replies */

/*
 * A list has a reply for each call of the batch; an error, or NULL for a lost connection, is the reply to all of them.
 */
static void report_replies(struct link *l, struct call *first, const struct redis_reply *reply)
{
	size_t i = 0;
	for (struct call *next; first; first = next, i++) {
		next = first->mate;
		const struct redis_reply *own = redis_at(reply, i);
		l->shared->events.on_reply(l->owner, first, own ? own : reply);
	}
}

static void on_reply(redisAsyncContext *ac, void *raw, void *context)
{
	struct link *l = ac->data;
	struct call *call = context;
	const struct redis_reply *reply = raw;
	call_queue_take(&l->in_flight);
	l->batches -= call->common != NULL;
	if (!reply)
		l->is_up = false; /* before the callback, which may send */
	else if (!redis_is_error(reply))
		l->unready_ms = 0;
	if (call->common)
		report_replies(l, call, reply);
	else
		l->shared->events.on_reply(l->owner, call, reply);
}

/* Sending */

/* Sends the command of a call or, for the first call of a batch, of the batch. */
static bool write_command(struct link *l, struct call *call, struct str text)
{
	if (redisAsyncFormattedCommand(l->ac, on_reply, call, text.p, text.n) != REDIS_OK) {
		l->is_up = false; /* the connection is about to end */
		return false;
	}
	call->sent_ms = clock_mono_ms();
	call_queue_put(&l->in_flight, call);
	l->batches += call->common != NULL;
	return true;
}

static void send_batch(struct link *l, struct call *first)
{
	if (l->is_up && write_command(l, first, batch_write(&l->shared->text, first, l->incarnation)))
		return;
	for (struct call *next; first; first = next) {
		next = first->mate;
		l->shared->events.on_unsent(l->owner, first);
	}
}

/*
 * While a batch is in flight others wait, and leave together when it is answered: so batches become as large as the
 * server is busy, and a call that is alone waits for nobody. (As Nagle's algorithm does for packets.)
 */
static void send_batches(struct link *l)
{
	if (l->is_up && l->batches)
		return;
	for (struct call *first; (first = batch_take(&l->waiting));)
		send_batch(l, first);
}

static void send_alone(struct link *l, struct call *call)
{
	call->mate = NULL;
	call->leader = call;
	send_batch(l, call);
}

bool link_send(struct link *l, struct call *call, bool asking)
{
	if (!l->is_up)
		return false;
	if (asking)
		redisAsyncCommand(l->ac, NULL, NULL, "ASKING");
	if (!call->common) {
		call_put_incarnation(call, l->incarnation);
		return write_command(l, call, (struct str){ call->text, call->length });
	}
	if (asking || call->is_alone)
		send_alone(l, call);
	else
		call_queue_put(&l->waiting, call);
	return true;
}

static void on_loaded(redisAsyncContext *ac, void *reply, void *context)
{
	(void)reply, (void)context;
	((struct link *)ac->data)->loading = NULL;
}

/* Each call of a batch whose script the server does not know asks for it. */
void link_load(struct link *l, const struct redis_script *s)
{
	if (l->is_up && l->loading != s &&
	    redisAsyncCommand(l->ac, on_loaded, NULL, "SCRIPT LOAD %s", s->text) == REDIS_OK)
		l->loading = s;
}

static void on_map(redisAsyncContext *ac, void *reply, void *context)
{
	struct link *l = ac->data;
	(void)context;
	l->shared->events.on_map(l->owner, reply);
}

bool link_ask_map(struct link *l)
{
	return l->is_up && redisAsyncCommand(l->ac, on_map, NULL, "CLUSTER SLOTS") == REDIS_OK;
}

/* WAIT */

static void on_waited(redisAsyncContext *ac, void *reply, void *context)
{
	struct link *l = ac->data;
	if (!replicate_end(context, reply))
		l->shared->events.on_unreplicated(l->owner);
}

void link_replicate(struct link *l, int replicas, redis_done *done, void *context)
{
	replicate_add(&l->replicate, replicas, done, context);
}

static void flush_replicate(struct link *l)
{
	struct replicate *first = l->replicate;
	int wait_ms = l->shared->conf->wait_ms;
	l->replicate = NULL;
	if (!first)
		return;
	if (!l->is_up ||
	    redisAsyncCommand(l->ac, on_waited, first, "WAIT %d %d", replicate_count(first), wait_ms) != REDIS_OK)
		replicate_end(first, NULL);
}

/* Writing and reading */

/* EPOLLOUT is requested only while output waits, because a socket is nearly always writable. */
static void watch_writes(struct link *l, bool on)
{
	if (on != l->watches_writes &&
	    loop_change(l->shared->loop, &l->io, EPOLLIN | EPOLLRDHUP | (on ? EPOLLOUT : 0)) == 0)
		l->watches_writes = on;
}

void link_flush(struct link *l)
{
	send_batches(l);
	flush_replicate(l);
	if (l->ac && l->wants_write && !l->is_connecting)
		redisAsyncHandleWrite(l->ac);
	if (l->ac)
		watch_writes(l, l->wants_write || l->is_connecting);
}

static void on_turn_end(struct loop_hook *h)
{
	link_flush(container_of(h, struct link, turn_end));
}

static void on_io(struct loop_io *io, uint32_t events)
{
	struct link *l = container_of(io, struct link, io);
	if (l->ac && (events & EPOLLOUT))
		redisAsyncHandleWrite(l->ac);
	if (l->ac && (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		redisAsyncHandleRead(l->ac);
}

/* The end of a connection */

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
	loop_remove(l->shared->loop, &l->io);
	l->ac = NULL;
	l->is_up = l->is_connecting = false;
}

static void retry_later(struct link *l)
{
	int most = l->shared->events.is_needed(l->owner) ? RETRY_MAX_MS : UNNEEDED_MAX_MS;
	if (l->shared->is_closing || l->is_closing)
		return;
	loop_timer_set(l->shared->loop, &l->retry, l->retry_ms < most ? l->retry_ms : most);
	l->retry_ms = l->retry_ms * 2 > most ? most : l->retry_ms * 2;
}

static void set_problem(struct link *l, bool refused, const char *text)
{
	l->is_refused = refused;
	snprintf(l->problem, sizeof l->problem, "%s: %s", l->dial.address, text);
}

static void set_failure(struct link *l, bool refused, const char *text)
{
	l->failed_ms = clock_mono_ms();
	if (!l->away_ms)
		l->away_ms = l->failed_ms;
	set_problem(l, refused, text);
}

/* The loss of a connection that was up is always logged. Tries to connect that fail are logged at a limited rate. */
static void report_lost(struct link *l, const char *event, const char *reason)
{
	if (l->was_up)
		log_warn(event, LOG_TEXT("server", l->dial.address), LOG_TEXT("reason", reason));
	else
		log_warn_limited(event, LOG_TEXT("server", l->dial.address), LOG_TEXT("reason", reason));
	if (l->was_up || !l->is_refused)
		set_failure(l, false, reason);
}

static void report_unreachable(struct link *l, const char *reason)
{
	log_warn_limited("redis_away", LOG_TEXT("server", l->dial.address), LOG_TEXT("reason", reason));
	set_failure(l, false, reason);
}

static void report_refused(struct link *l, const redisReply *error)
{
	log_error_limited("redis_login_refused", LOG_TEXT("server", l->dial.address),
			  LOG_STR("error", ((struct str){ error->str, (size_t)error->len })));
	set_failure(l, true, error->str);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;
	l->is_up = false;
	if (l->shared->is_closing || l->is_closing)
		return;
	report_lost(l, "redis_lost",
		    l->guard.violation   ? l->guard.violation
		    : status == REDIS_OK ? "closed"
					 : ac->errstr);
	retry_later(l);
	l->shared->events.on_change(l->owner);
}

/* The incarnation */

/*
 * The incarnation of a server: half of its run_id, which changes when its process is started, and half of its
 * master_replid, which changes with the history of its data. INFO has both. If a server does not give them, it is used,
 * but a restart of it is not recognised.
 */
static const struct info_field {
	const char *section, *name;
	size_t at;
} info_fields[] = { { "server", "\nrun_id:", 0 }, { "replication", "\nmaster_replid:", REDIS_INCARNATION / 2 } };

static void read_info_field(struct link *l, const struct info_field *f, const redisReply *reply)
{
	const char *at = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, f->name) : NULL;
	memset(l->info_incarnation + f->at, '0', REDIS_INCARNATION / 2);
	if (at && strspn(at + strlen(f->name), "0123456789abcdef") >= REDIS_INCARNATION / 2)
		memcpy(l->info_incarnation + f->at, at + strlen(f->name), REDIS_INCARNATION / 2);
	else
		log_warn_limited("redis_incarnation_unknown", LOG_TEXT("server", l->dial.address));
	if (reply->type == REDIS_REPLY_STRING && strstr(reply->str, "redis_mode:cluster"))
		l->shared->is_sharded = true;
}

static void come_up(struct link *l)
{
	l->retry_ms = RETRY_MIN_MS;
	l->is_up = l->was_up = true;
	l->is_refused = false;
	l->away_ms = l->unready_ms = 0;
	l->problem[0] = '\0';
	l->shared->events.on_change(l->owner);
}

static void on_incarnation(struct link *l)
{
	if (!l->is_up || memcmp(l->incarnation, l->info_incarnation, REDIS_INCARNATION) != 0) {
		l->shared->changes++;
		l->shared->changed_ms = clock_mono_ms();
	}
	memcpy(l->incarnation, l->info_incarnation, REDIS_INCARNATION);
	if (!l->is_up)
		come_up(l);
}

/*
 * True: the reply to INFO is an error, so the incarnation was not read; a new connection will ask again. NOPERM does
 * not count, because it would not help to ask again: it is treated as a reply without the field.
 */
static bool handle_info_error(struct link *l, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "NOPERM", 6) == 0)
		return false;
	if (!l->is_up && !l->is_refused)
		report_refused(l, reply);
	if (!l->is_up)
		redisAsyncDisconnect(l->ac);
	return true;
}

static void on_info(redisAsyncContext *ac, void *raw, void *context)
{
	struct link *l = ac->data;
	const struct info_field *f = context;
	const redisReply *reply = raw;
	bool is_last = f == &info_fields[sizeof info_fields / sizeof info_fields[0] - 1];
	if (!reply)
		return; /* the connection was lost */
	if (is_last)
		l->is_info_due = false;
	if (handle_info_error(l, reply))
		return;
	read_info_field(l, f, reply);
	if (is_last)
		on_incarnation(l);
}

/* Repeated while connected, because a server that is demoted and promoted may keep its connections. */
static void ask_incarnation(struct link *l)
{
	l->info_ms = clock_mono_ms();
	l->is_info_due = true;
	for (size_t i = 0; i < sizeof info_fields / sizeof info_fields[0]; i++)
		redisAsyncCommand(l->ac, on_info, (void *)&info_fields[i], "INFO %s", info_fields[i].section);
}

void link_verify(struct link *l)
{
	if (!l->is_up)
		return;
	l->is_up = false;
	l->dialed_ms = clock_mono_ms();
	ask_incarnation(l);
}

/* Connecting */

static void on_authenticated(redisAsyncContext *ac, void *raw, void *context)
{
	(void)context;
	struct link *l = ac->data;
	redisReply *reply = raw;
	if (!reply)
		return; /* the connection was lost */
	l->is_refused = false;
	if (reply->type == REDIS_REPLY_ERROR) {
		report_refused(l, reply);
		redisAsyncDisconnect(ac);
	}
}

static void on_connect(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;
	const struct conf *conf = l->shared->conf;
	l->is_connecting = false;
	if (status != REDIS_OK) {
		report_unreachable(l, ac->errstr);
		retry_later(l); /* hiredis frees the context after this */
		return;
	}
	if (*conf->redis_user)
		redisAsyncCommand(l->ac, on_authenticated, NULL, "AUTH %s %s", conf->redis_user, l->shared->password);
	else if (*l->shared->password)
		redisAsyncCommand(l->ac, on_authenticated, NULL, "AUTH %s", l->shared->password);
	ask_incarnation(l);
}

static void on_dialed(struct dial *d, redisAsyncContext *ac, const char *problem)
{
	struct link *l = container_of(d, struct link, dial);
	if (problem) {
		report_unreachable(l, problem);
		retry_later(l);
		return;
	}
	l->ac = ac;
	l->dialed_ms = clock_mono_ms();
	l->is_connecting = true;
	l->was_up = false;
	l->wants_write = false;
	l->watches_writes = true;
	ac->data = l;
	ac->ev.data = l;
	ac->ev.addWrite = want_write;
	ac->ev.delWrite = drop_write;
	ac->ev.cleanup = on_cleanup;
	protocol_guard(&l->guard, ac);
	l->io = (struct loop_io){ .fd = ac->c.fd, .fn = on_io };
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
	redisAsyncSetConnectCallback(ac, on_connect);
	if (loop_add(l->shared->loop, &l->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP) < 0)
		abort(); /* the kernel has no memory for it */
}

static void connect_now(struct link *l)
{
	dial_start(&l->dial);
	if (dial_is_waiting(&l->dial) && !*l->problem)
		set_problem(l, false, "the host's name is being looked up");
}

static void on_retry(struct loop_timer *t)
{
	struct link *l = container_of(t, struct link, retry);
	if (!l->ac)
		connect_now(l);
	else
		loop_timer_set(l->shared->loop, &l->retry, RETRY_MIN_MS); /* hiredis still frees the old context */
}

/*
 * If the last try is long ago, the loop was not turned meanwhile, so the server may be reachable again: away_ms is
 * reset, and calls wait for the connection instead of being refused.
 */
void link_hurry(struct link *l)
{
	if (l->ac || dial_is_waiting(&l->dial))
		return;
	if (clock_mono_ms() - l->failed_ms > 2 * RETRY_MAX_MS)
		l->away_ms = 0;
	loop_timer_cancel(l->shared->loop, &l->retry);
	connect_now(l);
}

bool link_is_away(const struct link *l)
{
	return !l->is_up && l->away_ms && clock_mono_ms() - l->away_ms > AWAY_MS;
}

bool link_note_unready(struct link *l)
{
	if (!l->unready_ms)
		l->unready_ms = clock_mono_ms();
	return clock_mono_ms() - l->unready_ms > AWAY_MS;
}

/*
 * Whether the server has not answered for redis_timeout_ms: to the login, to the oldest call or, if no call is in
 * flight, to INFO.
 */
static bool is_late(const struct link *l)
{
	const struct call *oldest = l->in_flight.first;
	int64_t since = !l->is_up ? l->dialed_ms : oldest ? oldest->sent_ms : l->info_ms;
	bool is_due = !l->is_up || oldest || l->is_info_due;
	return is_due && clock_mono_ms() - since > l->shared->conf->redis_timeout_ms;
}

/* If the connection was not made yet, hiredis does not call on_disconnect, so the next try is started here. */
static void hang_up(struct link *l)
{
	bool was_connected = l->ac->c.flags & REDIS_CONNECTED;
	report_lost(l, "redis_timeout", "no answer in time");
	redisAsyncFree(l->ac);
	set_failure(l, false, "no answer in time");
	if (!was_connected)
		retry_later(l);
}

static void on_watch(struct loop_timer *t)
{
	struct link *l = container_of(t, struct link, watch);
	if (l->ac && !l->is_connecting && is_late(l))
		redisAsyncHandleRead(l->ac); /* the reply may have arrived while the loop was not turned */
	bool late = l->ac && is_late(l), unsent = l->wants_write && l->is_up;
	if (late && unsent && !l->was_late) /* perhaps the command was not sent, because the loop was not turned */
		redisAsyncHandleWrite(l->ac);
	else if (late)
		hang_up(l);
	l->was_late = late;
	if (l->ac && l->is_up && !l->is_info_due && clock_mono_ms() - l->info_ms > INFO_MS)
		ask_incarnation(l);
	loop_timer_set(l->shared->loop, &l->watch, WATCH_MS);
}

struct link *link_open(struct link_shared *shared, const char *address, void *owner)
{
	struct link *l = alloc_zeroed(1, sizeof *l);
	l->shared = shared;
	l->owner = owner;
	l->dial.loop = shared->loop;
	l->dial.done = on_dialed;
	snprintf(l->dial.address, sizeof l->dial.address, "%s", address);
	call_queue_init(&l->in_flight);
	call_queue_init(&l->waiting);
	l->turn_end.fn = on_turn_end;
	loop_hook_add(shared->loop, &l->turn_end);
	l->retry_ms = RETRY_MIN_MS;
	l->retry.fn = on_retry;
	l->watch.fn = on_watch;
	loop_timer_set(shared->loop, &l->watch, WATCH_MS);
	connect_now(l);
	return l;
}

void link_close(struct link *l)
{
	l->is_closing = true;
	dial_stop(&l->dial);
	loop_timer_cancel(l->shared->loop, &l->retry);
	loop_timer_cancel(l->shared->loop, &l->watch);
	loop_hook_remove(l->shared->loop, &l->turn_end);
	if (l->ac)
		redisAsyncFree(l->ac);
	send_batches(l);
	flush_replicate(l);
	free(l);
}

const char *link_address(const struct link *l)
{
	return l->dial.address;
}

const char *link_incarnation(const struct link *l)
{
	return l->incarnation;
}

const char *link_problem(const struct link *l, bool *is_refused)
{
	*is_refused = l->is_refused;
	return *l->problem ? l->problem : NULL;
}

bool link_is_up(const struct link *l)
{
	return l->is_up;
}

bool link_is_connecting(const struct link *l)
{
	return dial_is_waiting(&l->dial) || (l->ac && !l->is_up);
}

bool link_has_failed(const struct link *l)
{
	return !l->is_up && l->away_ms;
}

bool link_is_idle(const struct link *l)
{
	return !l->in_flight.first && !l->waiting.first && !l->replicate;
}
