/*
 * libfcgi reads one request a time from a connection that it believes to own;
 * here the loop owns the connections and calls it only when there is
 * something to read, and only with a request that is there to its end.
 * Connections do not block: where libfcgi would have to wait for a peer all
 * the same (one that does not read its answers), it fails, and they are closed.
 */
#include "http/server.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "http/framing.h"

/* A request is at most BODY_MAX and what nginx takes as headers: WHOLE_MAX has room for both. */
enum {
	BODY_MAX = 65536,
	WHOLE_MAX = 2 * BODY_MAX,
	HOT_PATIENCE_MS = 5000,
	COLD_PATIENCE_MS = 1000,
	QUEUE_MS = 10000, /* in nginx, which waits longer, and in the backlog */
	QUEUE_AGAIN_S = 5
};

struct connection {
	struct loop_io io;
	struct server *server;
	struct connection *next, **back;
	struct loop_timer patience; /* with a peer that owes the rest of a request */
	FCGX_Request fcgi;
	struct arena arena;
	struct request request;
	struct str length, queued_at; /* of the request's body, as received; see QUEUED_AT */
	bool busy, gone, keep, served;
	bool aside; /* not counted in server.connections */
};

struct server {
	struct service *service;
	struct loop_io listener;
	struct loop_timer again; /* looks for connections that nobody has accepted */
	enum pool pool;
	int connections, max_connections;
	bool listening, stopping;
	struct connection *all;
};

static void listen_on(struct server *s, bool on)
{
	if (on == s->listening)
		return;
	if (on && loop_add(s->service->loop, &s->listener, EPOLLIN | EPOLLEXCLUSIVE) < 0) {
		log_error("listen_failed", LOG_TEXT("reason", strerror(errno)));
		return;
	}
	if (!on)
		loop_remove(s->service->loop, &s->listener);
	s->listening = on;
}

static void close_connection(struct connection *c)
{
	struct server *s = c->server;
	loop_timer_cancel(s->service->loop, &c->patience);
	if (c->io.fd >= 0)
		loop_remove(s->service->loop, &c->io);
	FCGX_Free(&c->fcgi, 0); /* libfcgi's own close would wait for the peer */
	if (c->io.fd >= 0)
		close(c->io.fd);
	arena_release(&c->arena);
	*c->back = c->next;
	if (c->next)
		c->next->back = c->back;
	s->connections -= !c->aside;
	free(c);
	if (!s->stopping && s->connections < s->max_connections)
		listen_on(s, true);
}

/* Answering */

static void count(struct server *s, enum status status)
{
	int http = status_http(status);
	if (http)
		stats_add(s->service->stats,
			  http >= 500   ? COUNT_requests_total__5xx
			  : http >= 400 ? COUNT_requests_total__4xx
					: COUNT_requests_total__2xx,
			  1);
}

static void log_request(const struct request *rq, enum status s)
{
	if (rq->service->conf->debug || status_http(s) == 500)
		log_info("request", LOG_STR("id", rq->id), LOG_STR("method", rq->method), LOG_STR("path", rq->path),
			 LOG_STR("query", rq->query), LOG_INT("status", status_http(s)),
			 LOG_TEXT("code", status_code(s)));
}

/* As FCGX_Finish_r, which would close a connection that failed, and wait for the peer to do the same. */
static bool finish(FCGX_Request *fcgi)
{
	bool is_written = FCGX_FClose(fcgi->err) == 0;
	is_written &= FCGX_FClose(fcgi->out) == 0;
	FCGX_Free(fcgi, 0);
	return is_written;
}

static void answer(struct request *rq, enum status status)
{
	struct connection *c = container_of(rq, struct connection, request);
	count(c->server, status);
	log_request(rq, status);
	if (!c->gone) {
		struct str text = response_render(rq, status);
		FCGX_PutStr(text.p, (int)text.n, c->fcgi.out);
	}
	if (!finish(&c->fcgi)) /* the peer left, or does not read its answers */
		c->keep = false;
	arena_reset(&c->arena);
	c->busy = false;
	c->served = true;
	if (c->gone || !c->keep || c->server->stopping)
		close_connection(c);
}

/* It ends with its answer: nobody counts what a peer would do with it afterwards. */
static void set_aside(struct request *rq)
{
	struct connection *c = container_of(rq, struct connection, request);
	struct server *s = c->server;
	c->aside = true;
	c->keep = false;
	s->connections--;
	if (!s->stopping)
		listen_on(s, true);
}

/* Reading */

/* What nginx sends, in its order. The last one always comes. */
enum param { METHOD, PATH, QUERY, LENGTH, AUTHORIZATION, IDEMPOTENCY, PEER, FALLBACK, QUEUED_AT, ID, PARAMS };
static const struct str params[PARAMS] = {
	[METHOD] = STR("REQUEST_METHOD="),
	[PATH] = STR("DOCUMENT_URI="),
	[QUERY] = STR("QUERY_STRING="),
	[LENGTH] = STR("CONTENT_LENGTH="),
	[AUTHORIZATION] = STR("HTTP_AUTHORIZATION="),
	[IDEMPOTENCY] = STR("HTTP_IDEMPOTENCY_KEY="),
	[PEER] = STR("REMOTE_ADDR="),
	[FALLBACK] = STR("FALLBACK="),
	[QUEUED_AT] = STR("QUEUED_AT="),
	[ID] = STR("REQUEST_ID="),
};

/* Of a parameter that comes twice the first counts; p is NULL for one that did not come. */
static void read_params(char **environment, struct str value[PARAMS])
{
	for (int next = 0; *environment; environment++)
		for (int tried = 0; tried < PARAMS; tried++) {
			struct str name = params[next], *to = &value[next];
			next = (next + 1) % PARAMS;
			if (strncmp(*environment, name.p, name.n) != 0)
				continue;
			if (!to->p)
				*to = str_of(*environment + name.n);
			break;
		}
}

/* Reads the body to its very end, so that the next request starts clean. */
static enum status read_body(struct connection *c)
{
	struct request *rq = &c->request;
	int64_t n = 0;
	if (c->length.n && !parse_int(c->length, 0, INT64_MAX, &n))
		return request_fail(rq, STATUS_BAD_REQUEST, "Content-Length is not a number");
	if (n > BODY_MAX)
		return STATUS_TOO_LARGE;
	char *body = n ? arena_alloc(&c->arena, (size_t)n) : NULL;
	int got = n ? FCGX_GetStr(body, (int)n, c->fcgi.in) : 0;
	rq->body = (struct str){ body ? body : "", (size_t)got };
	if (got != n || FCGX_GetChar(c->fcgi.in) != -1 || FCGX_GetError(c->fcgi.in))
		return request_fail(rq, STATUS_BAD_REQUEST,
				    "the body does not have the length that it was said to have");
	return STATUS_OK;
}

/* False: the peer left, or sent no request. REQUEST_ID is the last parameter: without it the others may be cut short.
 */
static bool accept_request(struct connection *c)
{
	c->fcgi.ipcFd = c->io.fd;
	c->fcgi.keepConnection = 1;
	if (FCGX_Accept_r(&c->fcgi) < 0) {
		loop_forget(c->server->service->loop, &c->io); /* libfcgi has closed it */
		c->io.fd = -1;
		return false;
	}
	/* a worker of the cold pool holds one connection: an idle one would keep everybody else out */
	c->keep = c->fcgi.keepConnection && c->server->pool == POOL_HOT;
	struct str value[PARAMS] = { 0 };
	read_params(c->fcgi.envp, value);
	if (FCGX_GetError(c->fcgi.in) != 0 || !value[ID].p)
		return false;
	struct request *rq = &c->request;
	*rq = (struct request){ .service = c->server->service,
				.arena = &c->arena,
				.answer = answer,
				.set_aside = set_aside,
				.method = str_eq(value[METHOD], STR("HEAD")) ? STR("GET") : value[METHOD],
				.path = value[PATH],
				.query = value[QUERY],
				.authorization = value[AUTHORIZATION],
				.idempotency_key = value[IDEMPOTENCY],
				.peer = value[PEER],
				.fallback = value[FALLBACK].n > 0,
				.id = value[ID] };
	buf_init(&rq->response.body, &c->arena);
	buf_init(&rq->response.headers, &c->arena);
	c->length = value[LENGTH];
	c->queued_at = value[QUEUED_AT];
	return true;
}

/*
 * nginx says when it passed on what may wait long: "SECONDS.MILLISECONDS" since 1970, by the clock of this host. A
 * clock that jumps makes somebody ask again, or wait as long as nginx does.
 */
static enum status check_age(struct connection *c)
{
	struct str rest = c->queued_at, seconds;
	int64_t s, ms;
	if (!parse_split(&rest, '.', &seconds) || !parse_int(seconds, 0, INT32_MAX, &s) ||
	    !parse_int(rest, 0, 999, &ms) || clock_ms() - (s * 1000 + ms) <= QUEUE_MS)
		return STATUS_OK;
	stats_add(c->server->service->stats, COUNT_queue_expired_total, 1);
	c->request.response.retry_after_s = QUEUE_AGAIN_S;
	return request_fail(&c->request, STATUS_BUSY,
			    "this has waited for more than %d s, nothing was done: ask again later", QUEUE_MS / 1000);
}

static void on_patience(struct loop_timer *t)
{
	struct connection *c = container_of(t, struct connection, patience);
	log_warn_limited("request_incomplete");
	close_connection(c);
}

/* A worker of another pool than the hot one holds one connection: others wait as long as it does. */
static void be_patient(struct connection *c)
{
	if (c->patience.fn)
		return;
	c->patience.fn = on_patience;
	loop_timer_set(c->server->service->loop, &c->patience,
		       c->server->pool == POOL_HOT ? HOT_PATIENCE_MS : COLD_PATIENCE_MS);
}

/*
 * Looks without taking. What is not taken counts against the peer's buffer by the piece, so a peer that sends a request
 * in very many of them never gets to its end; nginx sends a few.
 */
static enum framing_end look(const struct connection *c)
{
	static char bytes[WHOLE_MAX];
	ssize_t n = recv(c->io.fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? FRAMING_NOTHING : FRAMING_RUBBISH;
	enum framing_end end = framing_look((struct str){ bytes, (size_t)n });
	return end == FRAMING_PARTIAL && n == sizeof bytes ? FRAMING_RUBBISH : end;
}

static void on_connection(struct loop_io *io, uint32_t events)
{
	struct connection *c = (struct connection *)io;
	bool left = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	if (c->busy) {
		c->gone |= left;
		return;
	}
	enum framing_end end = left ? FRAMING_RUBBISH : look(c);
	if (end == FRAMING_PARTIAL)
		be_patient(c);
	if (end == FRAMING_PARTIAL || end == FRAMING_NOTHING)
		return;
	if (c->patience.fn)
		loop_timer_cancel(c->server->service->loop, &c->patience);
	c->patience.fn = NULL;
	if (end == FRAMING_RUBBISH || !accept_request(c)) { /* a request whose asker has left is not run */
		close_connection(c);
		return;
	}
	c->busy = true;
	enum status s = read_body(c);
	if (s == STATUS_OK)
		s = check_age(c);
	else
		c->keep = false; /* what was not read of it would be the next request */
	if (s == STATUS_OK)
		s = route_run(&c->request, c->server->pool);
	if (s != STATUS_PENDING)
		request_finish(&c->request, s);
}

/* Room for the largest answer, a list of long descriptions: it is written at once or not at all. */
static void make_room(int fd)
{
	enum { LARGEST = 512 * 1024 };
	int size = LARGEST; /* the kernel bounds it by net.core.wmem_max, and doubles that */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* To the end of the queue of processes that wait for a connection: nginx keeps them, so they must be dealt out evenly.
 */
static void step_back(struct server *s)
{
	listen_on(s, false);
	if (s->connections < s->max_connections)
		listen_on(s, true);
}

/*
 * Of a new connection the kernel tells one process. When that one cannot accept it, or stands still, the others are not
 * told before the next connection comes; so each looks from time to time.
 */
static void on_listen_again(struct loop_timer *t)
{
	enum { LISTEN_AGAIN_MS = 100 };
	struct server *s = container_of(t, struct server, again);
	if (s->stopping)
		return;
	step_back(s);
	loop_timer_set(s->service->loop, &s->again, LISTEN_AGAIN_MS);
}

/* Out of descriptors or memory: asking again at once would only burn the CPU. The timer does. */
static void listen_later(struct server *s)
{
	log_error_limited("accept_failed", LOG_TEXT("reason", strerror(errno)));
	listen_on(s, false);
}

static void on_listener(struct loop_io *io, uint32_t events)
{
	struct server *s = container_of(io, struct server, listener);
	(void)events;
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			listen_later(s);
		return;
	}
	struct connection *c = alloc_zeroed(1, sizeof *c);
	make_room(fd);
	c->io = (struct loop_io){ .fd = fd, .fn = on_connection };
	c->server = s;
	FCGX_InitRequest(&c->fcgi, -1, 0);
	c->next = s->all;
	c->back = &s->all;
	if (c->next)
		c->next->back = &c->next;
	s->all = c;
	s->connections++;
	step_back(s);
	if (s->pool != POOL_HOT)
		be_patient(c); /* also with one that says nothing: it keeps everybody out */
	if (loop_add(s->service->loop, &c->io, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0)
		close_connection(c);
}

struct server *server_new(struct service *svc, int fd, enum pool pool, int max_connections)
{
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 0); /* ms; libfcgi's own close waits for the peer */
	if (FCGX_Init() || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return NULL;
	struct server *s = alloc_zeroed(1, sizeof *s);
	*s = (struct server){ .service = svc,
			      .listener = { .fd = fd, .fn = on_listener },
			      .pool = pool,
			      .max_connections = max_connections };
	s->again.fn = on_listen_again;
	s->listening = loop_add(svc->loop, &s->listener, EPOLLIN | EPOLLEXCLUSIVE) == 0;
	if (!s->listening) {
		free(s);
		return NULL;
	}
	on_listen_again(&s->again);
	return s;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	listen_on(s, false);
	loop_timer_cancel(s->service->loop, &s->again);
	s->stopping = true;
	while (s->all)
		close_connection(s->all);
	free(s);
}

void server_stop(struct server *s)
{
	if (s->stopping)
		return;
	listen_on(s, false);
	s->stopping = true;
	for (struct connection *c = s->all, *next; c; c = next) {
		int waiting = 0;
		next = c->next;
		/* on a connection that nginx has just opened, a request is on its way */
		if (c->served && !c->busy && ioctl(c->io.fd, FIONREAD, &waiting) == 0 && waiting == 0)
			close_connection(c);
	}
}

bool server_is_alive(const struct server *s)
{
	return !s->stopping || s->all;
}
