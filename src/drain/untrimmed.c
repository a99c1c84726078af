#include "drain/untrimmed.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/table.h"

/* How long orders are passed over; and how much later a coupon is forgotten whose lists other drainers have trimmed. */
enum { PASS_OVER_MS = 1000, FORGET_MS = 60000 };

struct untrimmed {
	struct table coupons;
	int64_t forgot_ms;
};

struct untrimmed_coupon {
	struct table_node node;
	int64_t coupon, until_ms; /* until_ms: when the lists are read from their heads again */
	unsigned changes;         /* redis_changes when the lists were read */
	int segments;
	struct place places[]; /* of each segment */
};

static struct untrimmed_coupon *coupon_of(struct table_node *n)
{
	return container_of(n, struct untrimmed_coupon, node);
}

struct untrimmed *untrimmed_new(void)
{
	return alloc_zeroed(1, sizeof(struct untrimmed));
}

static void free_coupon(struct table_node *n)
{
	free(coupon_of(n));
}

void untrimmed_free(struct untrimmed *u)
{
	if (u)
		table_clear(&u->coupons, free_coupon);
	free(u);
}

static int forget_unused(struct table_node *n, void *now_ms)
{
	if (*(int64_t *)now_ms - coupon_of(n)->until_ms < FORGET_MS)
		return 0;
	free_coupon(n);
	return 1;
}

static void forget_some(struct untrimmed *u)
{
	int64_t now_ms = clock_mono_ms();
	if (now_ms - u->forgot_ms < FORGET_MS)
		return;
	u->forgot_ms = now_ms;
	table_sweep(&u->coupons, forget_unused, &now_ms);
}

static struct untrimmed_coupon *find_coupon(struct untrimmed *u, int64_t coupon)
{
	struct table_node *n = table_find(&u->coupons, (uint64_t)coupon);
	while (n && coupon_of(n)->coupon != coupon)
		n = table_next(n);
	return n ? coupon_of(n) : NULL;
}

static struct untrimmed_coupon *add_coupon(struct untrimmed *u, const struct batch *b)
{
	struct untrimmed_coupon *c = alloc_zeroed(1, sizeof *c + (size_t)b->segments * sizeof c->places[0]);
	c->coupon = b->coupon;
	c->segments = b->segments;
	table_put(&u->coupons, &c->node, (uint64_t)b->coupon);
	return c;
}

static void drop_coupon(struct untrimmed *u, struct untrimmed_coupon *c)
{
	table_remove(&u->coupons, &c->node);
	free(c);
}

/* NULL also when a server was replaced since then: the lists may have other records at these places now. */
static struct untrimmed_coupon *find_valid(struct untrimmed *u, const struct batch *b)
{
	struct untrimmed_coupon *c = find_coupon(u, b->coupon);
	if (!c || (c->segments == b->segments && c->changes == redis_changes(b->svc->redis_sync)))
		return c;
	drop_coupon(u, c);
	return NULL;
}

bool untrimmed_pass_over(struct untrimmed *u, struct batch *b)
{
	forget_some(u);
	const struct untrimmed_coupon *c = find_valid(u, b);
	if (!c || clock_mono_ms() >= c->until_ms)
		return false;
	for (int i = 0; i < b->segments; i++)
		b->segment[i].passed = c->places[i];
	return true;
}

static struct place farther(struct place one, struct place other)
{
	return one.number > other.number ? one : other;
}

/*
 * A batch that did not pass over may have read only the beginning of a list, so the farther place counts, unless the
 * list was trimmed.
 */
void untrimmed_remember(struct untrimmed *u, const struct batch *b, bool passed_over)
{
	struct untrimmed_coupon *c = find_coupon(u, b->coupon);
	bool any = false;
	for (int i = 0; i < b->segments; i++)
		any |= b->segment[i].passed.number || (c && !passed_over && c->places[i].number);
	if (!any && c)
		drop_coupon(u, c);
	if (!any)
		return;
	if (!c)
		c = add_coupon(u, b);
	c->changes = redis_changes(b->svc->redis_sync);
	if (!passed_over)
		c->until_ms = clock_mono_ms() + PASS_OVER_MS;
	for (int i = 0; i < b->segments; i++) {
		const struct segment_batch *s = &b->segment[i];
		c->places[i] = passed_over || s->is_settled ? s->passed : farther(s->passed, c->places[i]);
	}
}
