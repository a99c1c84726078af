/*
 * A FastCGI server on an event loop, with many connections from nginx in one process. libfcgi parses requests and
 * writes answers; no other file uses it.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/request.h"
#include "sale/service.h"

struct server;

/*
 * Serves the listening socket `fd`, which is made non-blocking, with at most max_connections connections at a time. In
 * a pool whose handlers block it must be 1, so that further connections go to other workers. Each request gets `worker`
 * and goes to `route`. NULL: libfcgi or the socket cannot be used; errno has the reason.
 */
struct server *server_new(struct service *svc, int fd, enum pool pool, int max_connections, router *route,
			  struct worker *worker);
/* To be called when no callback can call request_finish any more. NULL is allowed. */
void server_free(struct server *s);

/* Stops accepting connections and closes idle ones. Requests that have arrived are still answered. */
void server_stop(struct server *s);

/* True until server_stop was called and the last request is answered. */
bool server_is_alive(const struct server *s);

#endif
