#include "stock/acknowledged.h"

#include "base/buf.h"
#include "host/log.h"
#include "sale/coupon.h"
#include "sale/ranges.h"

enum { NEARLY_FULL = HIGH_WATER_MAX / 8 * 7 };

/* A coupon's id has at most 48 bits, so the segment fits below it. */
static uint64_t key_of(int64_t coupon, int segment)
{
	return (uint64_t)coupon * SEGMENTS_MAX + (uint64_t)segment;
}

/* The key for an earlier base, in the top byte: two bases get the same key when 254 others lie between them. */
static uint64_t key_of_earlier(int64_t coupon, int segment, int64_t base)
{
	return key_of(coupon, segment) | (uint64_t)(base / NUMBERS_RANGE % 255 + 1) << 56;
}

int64_t acknowledged_read(const struct service *svc, int64_t coupon, int segment)
{
	return high_water_read(svc->high_water, key_of(coupon, segment));
}

static int64_t if_above(int64_t number, int64_t base)
{
	return number && numbers_base(number) == base ? number : 0;
}

int64_t acknowledged_read_above(const struct service *svc, int64_t coupon, int segment, int64_t base)
{
	int64_t number = if_above(acknowledged_read(svc, coupon, segment), base);
	return number ? number
		      : if_above(high_water_read(svc->high_water, key_of_earlier(coupon, segment, base)), base);
}

static void report_full(struct service *svc, int64_t coupon, int segment)
{
	stats_add(svc->stats, COUNT_marks_refused_total, 1);
	log_warn_limited("marks_full", LOG_INT("coupon", coupon), LOG_INT("segment", segment));
}

int64_t acknowledged_raise(struct service *svc, int64_t coupon, int segment, int64_t number)
{
	int64_t before;
	bool is_kept = high_water_replace(svc->high_water, key_of(coupon, segment), number, &before);
	int64_t lower = before < number ? before : number;
	if (!lower || numbers_base(before) == numbers_base(number))
		lower = 0;
	else
		is_kept &=
			high_water_raise(svc->high_water, key_of_earlier(coupon, segment, numbers_base(lower)), lower);
	if (!is_kept)
		report_full(svc, coupon, segment);
	return lower;
}

void acknowledged_drop(struct service *svc, int64_t coupon, int segment, int64_t number)
{
	high_water_drop(svc->high_water, key_of(coupon, segment), number);
}

const char *acknowledged_problem(const struct service *svc, struct arena *a)
{
	int taken = high_water_count(svc->high_water);
	return taken < NEARLY_FULL
		       ? NULL
		       : arena_printf(a,
				      "%d of %d places are taken: orders that Redis loses may go unnoticed in "
				      "segments without a place",
				      taken, HIGH_WATER_MAX);
}

bool acknowledged_next(const struct service *svc, size_t *at, struct acknowledged *one)
{
	if (!high_water_next(svc->high_water, at, &one->key, &one->number))
		return false;
	one->coupon = (int64_t)((one->key << 8 >> 8) / SEGMENTS_MAX);
	one->segment = (int)(one->key % SEGMENTS_MAX);
	one->is_earlier = one->key >> 56;
	return true;
}

void acknowledged_drop_one(struct service *svc, const struct acknowledged *one, int64_t highest)
{
	high_water_drop(svc->high_water, one->key, highest);
}
