#include "stock/credit.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/loop.h"

enum { RETRY_MS = 200, TRIES = 300 };

struct credit {
	struct service *service;
	struct coupon *coupon;
	int segment, tries;
	struct totals totals;
	struct loop_timer retry;
};

static void wait_or_end(struct credit *c)
{
	if (c->tries++ < TRIES) {
		loop_timer_set(c->service->loop, &c->retry, RETRY_MS);
		return;
	}
	coupon_drop(c->coupon);
	free(c);
}

static void on_credited(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct credit *c = context;
	(void)reply;
	if (end == REDIS_ANSWER)
		c->tries = TRIES;
	wait_or_end(c);
}

static void on_retry(struct loop_timer *t)
{
	struct credit *c = container_of(t, struct credit, retry);
	const struct claim_call call = { c->service, c->coupon, c->segment, { 0, 1 }, &c->totals };
	claim_script_send(&call, on_credited, c);
}

void credit_later(struct service *svc, struct coupon *coupon, int segment, const struct totals *totals)
{
	struct credit *c = alloc_zeroed(1, sizeof *c);
	c->service = svc;
	c->coupon = coupon_hold(coupon);
	c->segment = segment;
	c->totals = *totals;
	c->retry.fn = on_retry;
	wait_or_end(c);
}
