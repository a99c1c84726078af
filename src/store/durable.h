/*
 * Checks whether Redis and MySQL keep what they acknowledge; if they do not, an acknowledged order may be lost. All
 * functions block.
 */
#ifndef STORE_DURABLE_H
#define STORE_DURABLE_H

#include "sale/service.h"
#include "sale/status.h"

enum access {
	ACCESS_OK,
	ACCESS_AWAY,    /* no connection, or no answer */
	ACCESS_REFUSED, /* the server answers and refuses: a wrong password, a missing permission */
};

/*
 * With ACCESS_OK: the reason why the server may lose what it acknowledges, or NULL. Otherwise the error text of the
 * server or the library, never NULL. In the arena.
 */
const char *durable_redis_problem(struct service *svc, struct arena *a, enum access *access);
const char *durable_mysql_problem(struct service *svc, struct arena *a, enum access *access);

/*
 * What is wrong with the replicas, any of which may become a master, or NULL. *where becomes a text that says where an
 * acknowledged claim is kept. Both in the arena. Call durable_redis_problem first.
 */
const char *durable_replicas_problem(struct service *svc, struct arena *a, const char **where);

/*
 * For the start of a program. Logs what is wrong. False: a server may lose what it acknowledges, and require_durable is
 * yes, so the program must not run. A server that is unreachable or refuses does not prevent the start.
 */
bool durable_at_start(struct service *svc, bool with_mysql);

#endif
