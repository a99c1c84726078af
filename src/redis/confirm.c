/*
 * WAIT, shared: it speaks of everything that its connection wrote before, so
 * one at the end of a turn confirms all writes that were answered in it.
 * It holds up what is queued behind it; the pipeline goes on in groups.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "redis/link.h"

struct confirm {
	struct confirm *next;
	struct redis *redis;
	int replicas; /* that must have it: of the first, for all */
	redis_done *done;
	void *context;
};

static void end_all(struct confirm *first, enum redis_outcome end)
{
	for (struct confirm *next; first; first = next) {
		next = first->next;
		first->done(first->context, end, NULL);
		free(first);
	}
}

static void on_waited(redisAsyncContext *ac, void *raw, void *context)
{
	const redisReply *reply = raw;
	struct confirm *first = context;
	(void)ac;
	bool reached = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer >= first->replicas;
	if (!reached)
		route_refresh_soon(first->redis); /* the replica may be none any more */
	end_all(first, reached ? REDIS_ANSWER : REDIS_UNKNOWN);
}

void confirm_flush(struct link *l)
{
	struct confirm *first = l->confirms;
	const struct conf *conf = l->redis->conf;
	l->confirms = NULL;
	if (!first)
		return;
	if (!l->up ||
	    redisAsyncCommand(l->ac, on_waited, first, "WAIT %d %d", first->replicas, (int)conf->wait_ms) != REDIS_OK)
		end_all(first, REDIS_UNKNOWN);
}

/*
 * A replica that the nodes agree to have failed is in no map; one that a single node does not see still is. A master
 * that is not in the map yet may have one.
 */
int confirm_replicas(const struct link *l)
{
	int wanted = l->redis->conf->wait_replicas;
	return wanted != CONF_AUTO ? wanted : l->redis->cluster && l->replicas;
}

bool redis_confirms(const struct redis *r)
{
	return r->conf->wait_replicas == CONF_AUTO ? r->cluster : r->conf->wait_replicas > 0;
}

void redis_confirm(struct redis *r, redis_done *done, void *context)
{
	int replicas = confirm_replicas(r->answering);
	if (!replicas) {
		done(context, REDIS_ANSWER, NULL);
		return;
	}
	struct confirm *c = alloc(sizeof *c);
	*c = (struct confirm){ r->answering->confirms, r, replicas, done, context };
	r->answering->confirms = c;
}
