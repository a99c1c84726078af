/*
 * Rate limits that the processes of a host share: how often each key was used in the present second of the monotonic
 * clock, in a mapped file. A key is never used more often in a second than its limit, whatever the number of processes,
 * and also if one of them is killed or stands still: there are only atomics, and no lock.
 *
 * The table has room for RATE_KEYS keys in a second, in buckets of 8, a cache line each. A key that finds its two
 * buckets full is refused, although it has not reached its limit. With k other keys in this second the chance of that
 * is about 2e-18 for k = 10,000, 4e-8 for 50,000, 2e-4 for 100,000 and 1e-2 for 150,000: the square of P(X >= 8), where
 * X has the Poisson distribution with the mean k / 32,768. Two keys share a limit if they agree in 39 bits of their
 * hashes: 9e-8 for k = 50,000.
 */
#ifndef HOST_RATE_H
#define HOST_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_KEYS = 1 << 18, RATE_LIMIT_MAX = 255 };

struct rates;

/*
 * Maps the file PATH.rates, and makes it if it is missing; a file of another layout is replaced. Never returns NULL: if
 * the file cannot be used, *problem says why, and each process has limits of its own; otherwise *problem is NULL.
 */
struct rates *rates_open(const char *path, const char **problem);
void rates_close(struct rates *r);

/* NULL: the file is in use. Otherwise the reason why it was not used, or is not any more. One stat(2). */
const char *rates_problem(const struct rates *r);

/*
 * Uses the key once. False: it was used `limit` (1 to RATE_LIMIT_MAX) times in this second, or there is no room for it;
 * the next second begins within one second. *rest: how often it may still be used in this second.
 */
bool rate_take(struct rates *r, uint64_t key, int limit, int *rest);

#endif
