/*
 * Shared WAIT commands. A WAIT covers everything that was written before it on its connection, so one WAIT at the end
 * of a turn serves all writes that were answered in that turn. The server executes commands behind a WAIT only when the
 * WAIT has ended, so writes are executed in groups.
 */
#ifndef REDIS_REPLICATE_H
#define REDIS_REPLICATE_H

#include "resp/reply.h"

/* A list of callbacks that wait for the replicas, the newest first. */
struct replicate;

void replicate_add(struct replicate **queue, int replicas, redis_done *done, void *context);
/* How many replicas the WAIT must reach. */
int replicate_count(const struct replicate *first);
/* Calls all callbacks of the list, with the WAIT's reply or NULL. False: fewer replicas than demanded. */
bool replicate_end(struct replicate *first, const struct redis_reply *reply);

#endif
