/* Whether the stores keep what they acknowledge: without that no acknowledged order is safe. Blocks. */
#ifndef SALE_DURABLE_H
#define SALE_DURABLE_H

#include "sale/service.h"
#include "base/status.h"

/* What is wrong, in the arena, or NULL. An unreachable server is *away, and no problem of this kind. */
const char *durable_redis(struct service *svc, struct arena *a, bool *away);
const char *durable_mysql(struct service *svc, struct arena *a, bool *away);

/*
 * At the start of a program: true when it may run. Logs what is wrong; with require_durable = no it only warns. A
 * server that is away does not stop the start.
 */
bool durable_at_start(struct service *svc, bool with_mysql);

#endif
