/* Random numbers of the kernel. They block only while it has no entropy yet, right after boot. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills memory. Aborts when the kernel refuses, which it never does for sizes up to 256. */
void random_bytes(void *to, size_t size);

/*
 * An id for something new: 48 random bits, never 0. It fits into a JSON number, and a store that was put back to an
 * earlier state does not hand it out again. Two ids are equal once in 2^48: the key that refuses it is tried again.
 */
int64_t random_id(void);

#endif
