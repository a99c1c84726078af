/* Random numbers from the kernel. They block only right after boot, until the kernel has enough entropy. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills memory. Aborts if the kernel fails, which does not happen for up to 256 bytes. */
void random_bytes(void *to, size_t size);

/*
 * A new id: 48 random bits, never 0. It fits in a JSON number. Unlike a counter, it does not repeat ids after a store
 * was restored from a backup. Two ids are equal with a chance of 1 in 2^48: on a duplicate key, take another one.
 */
int64_t random_id(void);

#endif
