/* Whether the stores keep what they acknowledge: without that no acknowledged order is safe. Blocks. */
#ifndef STORE_DURABLE_H
#define STORE_DURABLE_H

#include "sale/service.h"
#include "sale/status.h"

enum access {
	ACCESS_OK,
	ACCESS_AWAY,    /* there is no connection, or no answer */
	ACCESS_REFUSED, /* the server is there, and refuses the account: a wrong password, a missing right */
};

/*
 * What is wrong, in the arena: with ACCESS_OK how the server may lose what it acknowledged, or NULL; else why it cannot
 * be asked, in the words of the server or of the library, never NULL.
 */
const char *durable_redis(struct service *svc, struct arena *a, enum access *access);
const char *durable_mysql(struct service *svc, struct arena *a, enum access *access);

/*
 * After durable_redis: what is wrong with the replicas of a cluster, any of which may be promoted, or NULL; *holds says
 * where an acknowledged claim is. Both in the arena.
 */
const char *durable_replicas(struct service *svc, struct arena *a, const char **holds);

/*
 * At the start of a program: true when it may run. Logs what is wrong; with require_durable = no it only warns. A
 * server that is away, or refuses us, does not stop the start.
 */
bool durable_at_start(struct service *svc, bool with_mysql);

#endif
