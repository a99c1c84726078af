#include "resale/purchase.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "host/fault.h"
#include "stock/claim.h"

struct purchase {
	struct claim claim;
	bool has_ended;
	enum status end;
	struct order_number order;
};

static void end(struct purchase *p, enum status s)
{
	FAULT(late_claimed);
	p->end = s;
	p->has_ended = true;
}

static void on_claimed(struct claim *c, enum status s)
{
	struct purchase *p = container_of(c, struct purchase, claim);
	p->order = (struct order_number){ c->coupon->id, c->sequence, c->segment };
	end(p, s);
}

static void on_coupon(void *context, enum status s, struct coupon *coupon)
{
	struct purchase *p = context;
	if (s == STATUS_OK)
		claim_submit(&p->claim, coupon);
	else
		end(p, s);
}

struct purchase *purchase_begin(struct service *svc, int64_t coupon, struct owner owner)
{
	struct purchase *p = alloc_zeroed(1, sizeof *p);
	p->claim = (struct claim){ .service = svc, .user = owner.user, .unit = owner.unit, .done = on_claimed };
	coupon_find_id(svc, coupon, on_coupon, p);
	return p;
}

void purchase_free(struct purchase *p)
{
	while (p && !p->has_ended)
		loop_turn(p->claim.service->loop, 10);
	free(p);
}

bool purchase_has_ended(const struct purchase *p, enum status *s, struct order_number *order)
{
	*s = p->end;
	*order = p->order;
	return p->has_ended;
}
