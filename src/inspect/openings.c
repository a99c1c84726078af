#include "inspect/openings.h"

#include <stdlib.h>

#include "base/alloc.h"

struct opening {
	struct table_node node;
	int64_t coupon, epoch, since_ms;
};

static struct opening *opening_of(struct table_node *n)
{
	return container_of(n, struct opening, node);
}

static void free_opening(struct table_node *n)
{
	free(opening_of(n));
}

void openings_release(struct openings *o)
{
	table_clear(&o->by_coupon, free_opening);
}

static struct opening *find_opening(const struct openings *o, int64_t coupon)
{
	struct table_node *n = table_find(&o->by_coupon, (uint64_t)coupon);
	while (n && opening_of(n)->coupon != coupon)
		n = table_next(n);
	return n ? opening_of(n) : NULL;
}

static struct opening *add_opening(struct openings *o, int64_t coupon)
{
	struct opening *one = alloc_zeroed(1, sizeof *one);
	one->coupon = coupon;
	table_put(&o->by_coupon, &one->node, (uint64_t)coupon);
	return one;
}

int64_t openings_note(struct openings *o, int64_t coupon, int64_t epoch, int64_t seen_ms)
{
	struct opening *one = find_opening(o, coupon);
	if (!one)
		one = add_opening(o, coupon);
	if (one->epoch != epoch || !one->since_ms)
		one->since_ms = seen_ms;
	one->epoch = epoch;
	return one->since_ms;
}

void openings_forget(struct openings *o, int64_t coupon)
{
	struct opening *one = find_opening(o, coupon);
	if (one)
		table_remove(&o->by_coupon, &one->node);
	free(one);
}
