/*
 * libfcgi is called only when a complete request has arrived, so that it never waits for one. The sockets do not block:
 * if a peer does not read its answer, libfcgi fails to write it, and the connection is closed.
 *
 * The way of a request: on_connection, read_head, serve, the router with the handler, request_finish.
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

/* REQUEST_MAX has room for a body of BODY_MAX and for the headers that nginx accepts. */
enum {
	BODY_MAX = 65536,
	REQUEST_MAX = 2 * BODY_MAX,
	INCOMPLETE_HOT_MS = 5000, /* how long a peer may take to send a request */
	INCOMPLETE_COLD_MS = 1000,
	QUEUED_MAX_MS = 10000, /* how long a request may have waited in nginx and in the socket's backlog */
	QUEUED_RETRY_S = 5
};

struct connection {
	struct loop_io io;
	struct server *server;
	struct connection *next, **back;
	struct loop_timer incomplete; /* set while the rest of a request is awaited; its fn is NULL when it is not */
	FCGX_Request fcgi;
	struct arena arena;
	struct request request;
	struct str length, queued_at; /* CONTENT_LENGTH and QUEUED_AT, as received */
	bool busy;                    /* has a request that is not answered yet */
	bool gone;                    /* the peer has closed the connection */
	bool keep;                    /* keep the connection after the answer */
	bool served;                  /* has answered a request */
	bool aside;                   /* not counted in server.connections */
};

struct server {
	struct service *service;
	router *route;
	struct worker *worker;
	struct loop_io listener;
	struct loop_timer rejoin;
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
	loop_timer_cancel(s->service->loop, &c->incomplete);
	if (c->io.fd >= 0)
		loop_remove(s->service->loop, &c->io);
	FCGX_Free(&c->fcgi, 0); /* without closing, because libfcgi's close waits for the peer */
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

/* Reading */

/* FastCGI parameters in nginx's order, those of webhooks first. REQUEST_ID is always sent, but may be empty. */
enum param {
	METHOD,
	PATH,
	QUERY,
	LENGTH,
	AUTHORIZATION,
	IDEMPOTENCY,
	IF_MATCH,
	PEER,
	FALLBACK,
	QUEUED_AT,
	ID,
	WEBHOOK_ID,
	WEBHOOK_TIMESTAMP,
	WEBHOOK_SIGNATURE,
	PARAMS
};
static const struct str params[PARAMS] = {
	[METHOD] = STR("REQUEST_METHOD="),
	[PATH] = STR("DOCUMENT_URI="),
	[QUERY] = STR("QUERY_STRING="),
	[LENGTH] = STR("CONTENT_LENGTH="),
	[AUTHORIZATION] = STR("HTTP_AUTHORIZATION="),
	[IDEMPOTENCY] = STR("HTTP_IDEMPOTENCY_KEY="),
	[IF_MATCH] = STR("HTTP_IF_MATCH="),
	[PEER] = STR("REMOTE_ADDR="),
	[FALLBACK] = STR("FALLBACK="),
	[QUEUED_AT] = STR("QUEUED_AT="),
	[ID] = STR("REQUEST_ID="),
	[WEBHOOK_ID] = STR("HTTP_WEBHOOK_ID="),
	[WEBHOOK_TIMESTAMP] = STR("HTTP_WEBHOOK_TIMESTAMP="),
	[WEBHOOK_SIGNATURE] = STR("HTTP_WEBHOOK_SIGNATURE="),
};

/* If a parameter is sent twice, the first one counts. If it is missing, p of its value is NULL. */
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

/*
 * False: the peer has closed the connection, or sent no valid request. If REQUEST_ID, the last parameter, is missing,
 * the others may be truncated.
 */
static bool read_head(struct connection *c)
{
	c->fcgi.ipcFd = c->io.fd;
	c->fcgi.keepConnection = 1;
	if (FCGX_Accept_r(&c->fcgi) < 0) {
		loop_forget(c->server->service->loop, &c->io); /* libfcgi has closed it */
		c->io.fd = -1;
		return false;
	}
	/* a worker of another pool serves one connection at a time, so an idle connection would keep all others out */
	c->keep = c->fcgi.keepConnection && c->server->pool == POOL_HOT;
	struct str value[PARAMS] = { 0 };
	read_params(c->fcgi.envp, value);
	if (FCGX_GetError(c->fcgi.in) != 0 || !value[ID].p)
		return false;
	struct request *rq = &c->request;
	*rq = (struct request){ .service = c->server->service,
				.worker = c->server->worker,
				.arena = &c->arena,
				.method = str_eq(value[METHOD], STR("HEAD")) ? STR("GET") : value[METHOD],
				.path = value[PATH],
				.query = value[QUERY],
				.authorization = value[AUTHORIZATION],
				.idempotency_key = value[IDEMPOTENCY],
				.if_match = value[IF_MATCH],
				.peer = value[PEER],
				.fallback = value[FALLBACK].n > 0,
				.webhook_id = value[WEBHOOK_ID],
				.webhook_timestamp = value[WEBHOOK_TIMESTAMP],
				.webhook_signature = value[WEBHOOK_SIGNATURE],
				.id = value[ID] };
	buf_init(&rq->response.body, &c->arena);
	buf_init(&rq->response.headers, &c->arena);
	if (!rq->id.n)
		request_make_id(rq);
	c->length = value[LENGTH];
	c->queued_at = value[QUEUED_AT];
	return true;
}

/*
 * Reads the body and its end. If that fails, the connection is not kept, because the next request could not be found.
 */
static enum status read_body(struct connection *c)
{
	struct request *rq = &c->request;
	bool keep = c->keep;
	int64_t n = 0;
	c->keep = false;
	if (c->length.n && !parse_int(c->length, 0, INT64_MAX, &n))
		return request_fail(rq, STATUS_BAD_REQUEST, "Content-Length is not a number");
	if (n > BODY_MAX)
		return STATUS_TOO_LARGE;
	char *body = n ? arena_alloc(&c->arena, (size_t)n) : NULL;
	int got = n ? FCGX_GetStr(body, (int)n, c->fcgi.in) : 0;
	rq->body = (struct str){ body ? body : "", (size_t)got };
	if (got != n || FCGX_GetChar(c->fcgi.in) != -1 || FCGX_GetError(c->fcgi.in))
		return request_fail(rq, STATUS_BAD_REQUEST, "the body is not as long as Content-Length says");
	c->keep = keep;
	return STATUS_OK;
}

/*
 * For routes on which requests may wait long, nginx sends the time at which it passed the request on, as
 * "SECONDS.MILLISECONDS" since 1970 by this host's clock. A request that waited too long is refused. If the clock is
 * set meanwhile, a request may be refused for nothing, or wait until nginx gives up.
 */
static enum status check_age(struct connection *c)
{
	struct str rest = c->queued_at, seconds;
	int64_t s, ms;
	if (!parse_split(&rest, '.', &seconds) || !parse_int(seconds, 0, INT32_MAX, &s) ||
	    !parse_int(rest, 0, 999, &ms) || clock_ms() - (s * 1000 + ms) <= QUEUED_MAX_MS)
		return STATUS_OK;
	stats_add(c->server->service->stats, COUNT_queue_expired_total, 1);
	c->request.response.retry_after_s = QUEUED_RETRY_S;
	return request_fail(&c->request, STATUS_BUSY,
			    "the request waited for more than %d s, and nothing was done: retry later",
			    QUEUED_MAX_MS / 1000);
}

static void on_incomplete(struct loop_timer *t)
{
	struct connection *c = container_of(t, struct connection, incomplete);
	log_warn_limited("request_incomplete");
	close_connection(c);
}

/* The time is short outside the hot pool, because a worker there serves one connection while others wait. */
static void limit_incomplete(struct connection *c)
{
	if (c->incomplete.fn)
		return;
	c->incomplete.fn = on_incomplete;
	loop_timer_set(c->server->service->loop, &c->incomplete,
		       c->server->pool == POOL_HOT ? INCOMPLETE_HOT_MS : INCOMPLETE_COLD_MS);
}

/*
 * Scans the bytes that have arrived, and leaves them in the socket. The kernel charges each piece with its overhead, so
 * a peer that sends a request in very many pieces cannot send all of it; nginx sends only a few pieces.
 */
static enum framing_end peek(const struct connection *c)
{
	static char bytes[REQUEST_MAX];
	ssize_t n = recv(c->io.fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? FRAMING_EMPTY : FRAMING_INVALID;
	enum framing_end end = framing_scan((struct str){ bytes, (size_t)n });
	return end == FRAMING_PARTIAL && n == sizeof bytes ? FRAMING_INVALID : end;
}

/* Answering */

static void count_answer(struct stats *stats, enum status s)
{
	int http = status_http(s);
	if (http)
		stats_add(stats,
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

/*
 * Does what FCGX_Finish_r does; but that function would close a failed connection, and wait until the peer closes it.
 */
static bool flush(FCGX_Request *fcgi)
{
	bool is_written = FCGX_FClose(fcgi->err) == 0;
	is_written &= FCGX_FClose(fcgi->out) == 0;
	FCGX_Free(fcgi, 0);
	return is_written;
}

void request_finish(struct request *rq, enum status status)
{
	struct connection *c = container_of(rq, struct connection, request);
	count_answer(c->server->service->stats, status);
	log_request(rq, status);
	if (!c->gone) {
		struct str text = response_render(rq, status);
		FCGX_PutStr(text.p, (int)text.n, c->fcgi.out);
	}
	if (!flush(&c->fcgi)) /* the peer has closed the connection, or does not read its answers */
		c->keep = false;
	arena_reset(&c->arena);
	c->busy = false;
	c->served = true;
	if (c->gone || !c->keep || c->server->stopping)
		close_connection(c);
}

/* The connection is closed after the answer, because a connection that is not counted must not take another request. */
void request_set_aside(struct request *rq)
{
	struct connection *c = container_of(rq, struct connection, request);
	struct server *s = c->server;
	c->aside = true;
	c->keep = false;
	s->connections--;
	if (!s->stopping)
		listen_on(s, true);
}

static void serve(struct connection *c)
{
	c->busy = true;
	enum status s = read_body(c);
	if (s == STATUS_OK)
		s = check_age(c);
	if (s == STATUS_OK)
		s = c->server->route(&c->request, c->server->pool);
	if (s != STATUS_PENDING)
		request_finish(&c->request, s);
}

static void on_connection(struct loop_io *io, uint32_t events)
{
	struct connection *c = container_of(io, struct connection, io);
	bool left = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR); /* the peer has closed the connection */
	if (c->busy) {
		c->gone |= left;
		return;
	}
	enum framing_end end = left ? FRAMING_INVALID : peek(c);
	if (end == FRAMING_PARTIAL)
		limit_incomplete(c);
	if (end == FRAMING_PARTIAL || end == FRAMING_EMPTY)
		return;
	if (c->incomplete.fn)
		loop_timer_cancel(c->server->service->loop, &c->incomplete);
	c->incomplete.fn = NULL;
	if (end == FRAMING_WHOLE && read_head(c))
		serve(c);
	else
		close_connection(c);
}

/* Listening */

/*
 * Makes room for the largest answer, a list of long descriptions, because an answer is written at once or not at all.
 */
static void enlarge_send_buffer(int fd)
{
	enum { LARGEST = 512 * 1024 };
	int size = LARGEST; /* the kernel limits it to net.core.wmem_max, and then doubles it */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/*
 * Moves this process to the end of the kernel's queue of processes that wait for a connection. nginx keeps its
 * connections, so they must be spread over all workers.
 */
static void rejoin_queue(struct server *s)
{
	listen_on(s, false);
	if (s->connections < s->max_connections)
		listen_on(s, true);
}

/*
 * The kernel wakes one process for a new connection. If this process cannot accept it, or is stopped, no other one is
 * woken before the next connection arrives. Therefore every process looks for connections from time to time.
 */
static void on_rejoin(struct loop_timer *t)
{
	enum { REJOIN_MS = 100 };
	struct server *s = container_of(t, struct server, rejoin);
	if (s->stopping)
		return;
	rejoin_queue(s);
	loop_timer_set(s->service->loop, &s->rejoin, REJOIN_MS);
}

static void add_connection(struct server *s, int fd)
{
	struct connection *c = alloc_zeroed(1, sizeof *c);
	enlarge_send_buffer(fd);
	c->io = (struct loop_io){ .fd = fd, .fn = on_connection };
	c->server = s;
	FCGX_InitRequest(&c->fcgi, -1, 0);
	c->next = s->all;
	c->back = &s->all;
	if (c->next)
		c->next->back = &c->next;
	s->all = c;
	s->connections++;
	rejoin_queue(s);
	if (s->pool != POOL_HOT)
		limit_incomplete(c); /* from the start, because a peer that sends nothing keeps all others out */
	if (loop_add(s->service->loop, &c->io, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0)
		close_connection(c);
}

static void on_listener(struct loop_io *io, uint32_t events)
{
	struct server *s = container_of(io, struct server, listener);
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	(void)events;
	if (fd >= 0) {
		add_connection(s, fd);
	} else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
		log_error_limited("accept_failed", LOG_TEXT("reason", strerror(errno)));
		listen_on(s, false); /* no descriptor or no memory: on_rejoin tries again */
	}
}

struct server *server_new(struct service *svc, int fd, enum pool pool, int max_connections, router *route,
			  struct worker *worker)
{
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 0); /* so that libfcgi's close does not wait for the peer */
	if (FCGX_Init() || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return NULL;
	struct server *s = alloc_zeroed(1, sizeof *s);
	*s = (struct server){ .service = svc,
			      .route = route,
			      .worker = worker,
			      .listener = { .fd = fd, .fn = on_listener },
			      .pool = pool,
			      .max_connections = max_connections };
	s->rejoin.fn = on_rejoin;
	s->listening = loop_add(svc->loop, &s->listener, EPOLLIN | EPOLLEXCLUSIVE) == 0;
	if (!s->listening) {
		free(s);
		return NULL;
	}
	on_rejoin(&s->rejoin);
	return s;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	listen_on(s, false);
	loop_timer_cancel(s->service->loop, &s->rejoin);
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
		/* a connection that nginx has just opened will bring a request */
		if (c->served && !c->busy && ioctl(c->io.fd, FIONREAD, &waiting) == 0 && waiting == 0)
			close_connection(c);
	}
}

bool server_is_alive(const struct server *s)
{
	return !s->stopping || s->all;
}
