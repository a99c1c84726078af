/*
 * The ranges of a segment: for each of its bases, the numbers above it that were given out. Within a range no number is
 * missing; between the ranges there are gaps.
 */
#ifndef SALE_RANGES_H
#define SALE_RANGES_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

/* All bases are multiples of this. */
#define NUMBERS_RANGE ((int64_t)1 << 20)

/* The base of a number. Wrong for numbers of a range that has grown beyond the next multiple. */
static inline int64_t numbers_base(int64_t number)
{
	return (number - 1) / NUMBERS_RANGE * NUMBERS_RANGE;
}

/* Numbers from base + 1 to base + count. */
struct range {
	int64_t base, count;
};

/* In the order of their bases. */
struct ranges {
	struct range *at;
	int64_t *before; /* of each: how many numbers the ranges before it have */
	int count;       /* at least 1 */
};

/*
 * Reads the ranges of earlier bases, as far as MySQL has them, and, last, the range of the present base, whose count is
 * what the cursor has passed so far. In the arena. Blocks. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status ranges_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct ranges *r);

/* Adds a range, or replaces the range with the same base. Only in memory. */
void ranges_put(struct arena *a, struct ranges *r, struct range range);

/*
 * The range to which a number belongs; the number may be beyond the range's known count. When there is no such range,
 * because MySQL knows no number of it, the result has the number's base and count 0.
 */
struct range ranges_of(const struct ranges *r, int64_t number);

/* How many numbers all ranges have; the place of a number, counted from 0 without the gaps; the number at a place. */
int64_t ranges_total(const struct ranges *r);
int64_t ranges_place(const struct ranges *r, int64_t number); /* -1: in no range */
int64_t ranges_number(const struct ranges *r, int64_t place); /* 0: beyond the last one */

#endif
