#include "redis/replicate.h"

#include <stdlib.h>

#include "base/alloc.h"

struct replicate {
	struct replicate *next;
	int replicas;
	redis_done *done;
	void *context;
};

void replicate_add(struct replicate **queue, int replicas, redis_done *done, void *context)
{
	struct replicate *r = alloc(sizeof *r);
	*r = (struct replicate){ *queue, replicas, done, context };
	*queue = r;
}

/* All entries of a list are of one link and one turn, so they demand the same number. */
int replicate_count(const struct replicate *first)
{
	return first->replicas;
}

bool replicate_end(struct replicate *first, const struct redis_reply *reply)
{
	bool reached = redis_type(reply) == REDIS_INT && redis_number(reply) >= first->replicas;
	for (struct replicate *next; first; first = next) {
		next = first->next;
		first->done(first->context, reached ? REDIS_ANSWER : REDIS_UNKNOWN, NULL);
		free(first);
	}
	return reached;
}
