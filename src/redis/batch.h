/*
 * Sends many calls of a script as one command. Redis spends as much time on receiving a script call, on starting Lua
 * and on framing a transaction for its file as on a simple script itself; the calls of a batch share that cost, and
 * those of a group also share their common words and what the script reads and writes. (It is group commit, for
 * scripts.)
 */
#ifndef REDIS_BATCH_H
#define REDIS_BATCH_H

#include "redis/call.h"

/* The memory in which batch_write writes; zeroed before its first use. */
struct batch_text {
	char *p;
	size_t size;
};

/*
 * Takes calls from the queue that can leave as one command: those of one script and hash slot, the longest waiting
 * first. Returns the first, with the others as mates, ordered by group; NULL: none waits.
 */
struct call *batch_take(struct call_queue *waiting);

/* Writes the EVALSHA of a call and its mates; valid until the next call of batch_write. */
struct str batch_write(struct batch_text *text, struct call *first, const char *incarnation);

#endif
