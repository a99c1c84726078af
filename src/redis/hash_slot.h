/*
 * Hash slots of Redis Cluster: the CRC-16 of the key, or of its hash tag, the part in braces. See the Redis Cluster
 * Specification.
 */
#ifndef REDIS_HASH_SLOT_H
#define REDIS_HASH_SLOT_H

#include "base/str.h"

enum { HASH_SLOTS = 16384 };

int hash_slot(struct str key);

#endif
