/*
 * What follows a batch's commit: its orders are entered in their customers' lists, the lists of its segments are
 * trimmed, and orders of these customers that may be lost are looked for.
 */
#ifndef DRAIN_AFTER_COMMIT_H
#define DRAIN_AFTER_COMMIT_H

#include "drain/batch.h"

/*
 * Enters committed orders in their customers' lists, and trims the segments' lists. Clears `passed` of a segment whose
 * trim was answered; elsewhere sets it to the last order that is in MySQL and still on the list. A list is not trimmed
 * while the list of one of its customers is unreachable, or when Redis refuses the trim or does not answer: a later
 * batch trims it. Does nothing for orders that are not committed. Everything here must bear repetition, because a
 * drainer that is killed in it leaves its orders to a later batch. Blocks.
 */
void after_commit(struct batch *b);

#endif
