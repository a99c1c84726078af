/*
 * The catalog: which coupon has the path "seller/name", in Redis, so that the hot pool never asks MySQL. The entries
 * are in buckets by a hash of the path, because a name must never be part of a key.
 */
#ifndef SALE_CATALOG_INDEX_H
#define SALE_CATALOG_INDEX_H

#include <stdint.h>

#include "base/arena.h"
#include "redis/redis.h"

/* Room for two names of at most 240 bytes each. */
enum { CATALOG_PATH = 512 };

/* Writes "seller/name" to text, where the result points. Longer names than are allowed are cut off. */
struct str catalog_path(char text[CATALOG_PATH], struct str seller, struct str name);

/* Builds the command that reads a coupon's id (the reply is a number, or REDIS_NIL), and the command that enters it. */
void catalog_find(struct redis_command *c, struct str seller, struct str name);
void catalog_enter(struct redis_command *c, struct str seller, struct str name, int64_t coupon);
void catalog_remove(struct redis_command *c, struct str seller, struct str name);

#endif
