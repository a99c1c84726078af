/*
 * Sends many calls of a script as one command. Redis spends as much time on receiving a script call, on starting Lua
 * and on framing a transaction for its file as on a simple script itself; calls of the same script that leave in the
 * same turn share that cost. (It is group commit, for scripts.)
 */
#ifndef REDIS_BATCH_H
#define REDIS_BATCH_H

#include "redis/call.h"

/* The calls that leave next, a list linked by `mate`. */
struct batch {
	struct call *first, **last;
	int count;
};

/* The memory in which batch_write writes; zeroed before its first use. */
struct batch_text {
	char *p;
	size_t size;
};

/* Whether a call fits into the batch: the batch is not full, and script, hash slot and number of words are the same. */
bool batch_takes(const struct batch *b, const struct call *call);
void batch_add(struct batch *b, struct call *call);
/* Empties the batch. Returns its first call, with the others as mates, or NULL. */
struct call *batch_take(struct batch *b);

/* Writes the EVALSHA of a call and its mates; valid until the next call of batch_write. */
struct str batch_write(struct batch_text *text, struct call *first, const char *incarnation);

#endif
