/*
 * SipHash-2-4, a keyed hash: nobody can choose colliding inputs without the key. Aumasson and Bernstein, "SipHash: a
 * fast short-input PRF", 2012.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY = 16 };

uint64_t siphash(const uint8_t key[SIPHASH_KEY], const void *data, size_t size);

#endif
