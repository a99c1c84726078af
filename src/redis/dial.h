/* Starts a connection to an address. Another thread looks up the host's name, because hiredis would block. */
#ifndef REDIS_DIAL_H
#define REDIS_DIAL_H

#include "base/loop.h"
#include "redis/address.h"
#include "resp/protocol.h"

struct dial {
	struct loop *loop;
	/* Gets a context that is connecting; or NULL and the problem, whose text is valid during the call. */
	void (*done)(struct dial *d, redisAsyncContext *ac, const char *problem);
	char address[ADDRESS];
	struct loop_io lookup; /* the lookup of the host's name; its fn is NULL when none is under way */
};

/* Calls done, perhaps before it returns. */
void dial_start(struct dial *d);
/* Ends a lookup that is under way. */
void dial_stop(struct dial *d);
/* Whether the host's name is being looked up. */
bool dial_is_waiting(const struct dial *d);

#endif
