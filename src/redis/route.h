/*
 * Sends each call to its server, and ends it with the reply. A call that a node did not execute, because hash slots
 * move or a failover is under way, is parked and sent again, until redis_timeout_ms after it began, or until its server
 * has been unreachable for a quarter of a second. A call whose reply was lost is never sent again.
 */
#ifndef REDIS_ROUTE_H
#define REDIS_ROUTE_H

#include "redis/topology.h"

struct router {
	struct topology topology;
	struct call_queue parked;
	struct loop_timer unpark; /* armed while a call is parked */
	struct node *answering;   /* the node whose reply is being handled */
};

/* As topology_open. In a zeroed router, the caller has set loop, conf and password of topology.shared. */
const char *route_open(struct router *r, const char *setting);
/* Calls in flight end as REDIS_UNKNOWN, all others as REDIS_REFUSED. */
void route_close(struct router *r);

/* Sends, parks or refuses the call, which does not belong to the caller any more. */
void route_call(struct router *r, struct call *call);

#endif
