/*
 * The seller index, from the name of a seller to the user id, in Redis, so that the hot pool never asks MySQL. A
 * missing entry is written again when the seller logs in.
 */
#ifndef SALE_SELLER_INDEX_H
#define SALE_SELLER_INDEX_H

#include <stdint.h>

#include "sale/service.h"
#include "sale/status.h"

/* Enters a seller. Safe to repeat. Blocks for Redis. STATUS_OK, STATUS_UNAVAILABLE. */
enum status seller_index_add(struct service *s, struct str name, int64_t id);

/* Builds the command that reads a seller's id. The reply is a number, or REDIS_NIL: no such entry. */
void seller_index_find(struct redis_command *c, struct str name);

#endif
