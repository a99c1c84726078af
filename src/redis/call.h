/*
 * A call: a command on its way, from redis_send to its callback. A call is in at most one queue at a time: in flight on
 * a link, gathered for a batch, or parked. The memory of calls that have ended is kept for later calls.
 */
#ifndef REDIS_CALL_H
#define REDIS_CALL_H

#include "resp/command.h"
#include "resp/reply.h"

struct call_pool {
	struct call *spare;
	int spares;
	int outstanding; /* calls that have not ended */
};

struct call {
	struct call_pool *pool;
	struct call *next;         /* in its queue */
	struct call *mate;         /* the next one of its batch; those of a group follow each other */
	const struct call *leader; /* the first one of its group */
	redis_done *done;
	void *context;
	const struct redis_script *script;
	struct redis_common *common; /* of a call in a batch; `text` has only its own words then, without a head */
	int hash_slot;               /* of its key, in a cluster; -1: any server answers */
	int server;                  /* -1, or the number of the server that must answer */
	int redirects;
	bool was_reloaded;     /* the script was sent to its server */
	bool is_alone;         /* it must not share a batch with other calls */
	int own;               /* how many own words it has */
	size_t incarnation_at; /* where in `text` the incarnation is, or 0 */
	int64_t began_ms, sent_ms;
	char *text; /* kept until the call ends, because it may be sent again; in `room` when it fits */
	size_t length;
	char room[384];
};

struct call *call_new(struct call_pool *pool, const struct redis_command *c, redis_done *done, void *context);
/* Frees the call, then runs its callback. */
void call_end(struct call *call, enum redis_outcome outcome, const struct redis_reply *reply);
/* Writes the incarnation of the server that gets the call into its text. */
void call_put_incarnation(struct call *call, const char *incarnation);
/* Frees the memory of ended calls. No call may be outstanding. */
void call_pool_release(struct call_pool *pool);

/* First in, first out. */
struct call_queue {
	struct call *first, **last;
};

void call_queue_init(struct call_queue *q); /* empties it, too */
void call_queue_put(struct call_queue *q, struct call *call);
struct call *call_queue_take(struct call_queue *q);                   /* NULL: it is empty */
void call_queue_move(struct call_queue *to, struct call_queue *from); /* `to` is empty, and `from` will be */

#endif
