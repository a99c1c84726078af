/*
 * The work of a drainer: jobs that run one after another, in turns. Each job is a function of its own room;
 * housekeeping decides which jobs are due, and how long a drainer rests between two turns.
 */
#ifndef BIN_HOUSEKEEPING_H
#define BIN_HOUSEKEEPING_H

#include "sale/service.h"

struct housekeeping;
struct housekeeping *housekeeping_new(struct service *svc);
void housekeeping_free(struct housekeeping *h);

/*
 * Runs every job that is due. Returns how many milliseconds to rest before the next turn: 0 while there is much work;
 * longer each time without work, or while a server does not answer. Blocks for Redis and MySQL.
 */
int housekeeping_turn(struct housekeeping *h);

#endif
