/*
 * FastCGI over an event loop: many kept connections from nginx in one
 * process, requests read and answered by libfcgi, which never waits here.
 * The only code that knows libfcgi.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/route.h"
#include "sale/service.h"

struct server;

/*
 * Serves the listening socket `fd` (made non-blocking) with at most max_connections at a time; a pool whose handlers
 * block holds one, so that its neighbours get the rest. NULL: libfcgi or the socket cannot be used, errno says why.
 */
struct server *server_new(struct service *svc, int fd, enum pool pool, int max_connections);
void server_free(struct server *s);

/* Takes no new connection, answers what it has, closes what is idle. */
void server_stop(struct server *s);

/* False once server_stop was called and the last request is answered. */
bool server_is_alive(const struct server *s);

#endif
