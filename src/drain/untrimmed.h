/*
 * Remembers lists that could not be trimmed, because Redis is full, has too few replicas or does not answer. Their
 * orders up to a place are in MySQL, so later batches pass these orders over. After a second a batch reads such a list
 * from its head again, and tries to trim it.
 */
#ifndef DRAIN_UNTRIMMED_H
#define DRAIN_UNTRIMMED_H

#include "drain/batch.h"

struct untrimmed;
struct untrimmed *untrimmed_new(void);
void untrimmed_free(struct untrimmed *u);

/* Sets `passed` of the batch's segments; to be called right before batch_move. False: nothing is remembered. */
bool untrimmed_pass_over(struct untrimmed *u, struct batch *b);

/* Remembers `passed` of a batch that was moved; passed_over: what untrimmed_pass_over returned for it. */
void untrimmed_remember(struct untrimmed *u, const struct batch *b, bool passed_over);

#endif
