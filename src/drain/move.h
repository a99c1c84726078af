/* Moves one batch of a coupon's orders from Redis to MySQL: reads it, commits it, and trims the lists. */
#ifndef DRAIN_MOVE_H
#define DRAIN_MOVE_H

#include "drain/batch.h"

/*
 * The batch is fresh from batch_init. Returns the number of orders committed, or -1: a server does not answer, or
 * refuses; no order is lost, and the next batch tries again. A list that cannot be read does not hold up the others,
 * and a list that cannot be trimmed is left to a later batch. A segment with another base than its cursor waits for an
 * inspection, which is requested here. When MySQL refuses a value, the orders are committed one by one, and the order
 * that has the value becomes a dead letter. Blocks.
 */
int batch_move(struct batch *b);

#endif
