/*
 * The seller directory: which user id a seller's name has, in Redis, so that
 * the hot pool never asks MySQL. MySQL is the truth; an entry that is missing
 * here comes back when the seller logs in. Bucketed by a hash of the name: a
 * name is never part of a key.
 */
#ifndef SALE_SELLER_INDEX_H
#define SALE_SELLER_INDEX_H

#include <stdint.h>

#include "sale/service.h"
#include "sale/status.h"

/* Enters a seller. STATUS_OK or STATUS_UNAVAILABLE. Safe to repeat. Blocks for an answer of Redis. */
enum status seller_index_add(struct service *s, struct str name, int64_t id);

/* The command that asks for a seller's id; its answer is a number, or REDIS_NIL when the name is not there. */
void seller_index_find(struct redis_command *c, struct str name);

#endif
