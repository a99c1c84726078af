#include "page/coupon_view.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

/* A worker reads a descriptor that is behind its hub this often at most, while the descriptor is being written. */
enum { REREAD_MS = 50 };

struct view {
	struct service *svc;
	struct coupon *coupon;
	enum availability_detail detail;
	coupon_view_done *done;
	void *context;
	bool was_reread;
	struct availability *units; /* of a coupon that is being read again because its hub has a higher version */
};

static void end(struct view *v, enum status s, const struct availability *units)
{
	v->done(v->context, s, s == STATUS_OK ? v->coupon : NULL, units);
	coupon_drop(v->coupon);
	free(v->units);
	free(v);
}

static void read_units(struct view *v);

static void on_coupon(void *context, enum status s, struct coupon *c)
{
	struct view *v = context;
	struct coupon *old = v->coupon;
	if (s != STATUS_OK) {
		end(v, s, NULL);
		return;
	}
	bool is_other = c->generation != old->generation;
	v->coupon = coupon_hold(c);
	coupon_drop(old);
	if (v->units && !is_other)
		end(v, STATUS_OK, v->units);
	else if (is_other)
		read_units(v);
	else
		end(v, STATUS_FENCED, NULL);
}

static void reread(struct view *v)
{
	int64_t id = v->coupon->id;
	v->was_reread = true;
	coupon_forget(v->svc->coupons, v->coupon);
	coupon_find_id(v->svc, id, on_coupon, v);
}

static bool is_old(const struct view *v, const struct availability *units)
{
	return units->version > v->coupon->version && clock_mono_ms() - v->coupon->read_ms >= REREAD_MS;
}

static void on_units(void *context, enum status s, const struct availability *units)
{
	struct view *v = context;
	if (!v->was_reread && s == STATUS_FENCED) {
		reread(v);
	} else if (!v->was_reread && s == STATUS_OK && is_old(v, units)) {
		v->units = alloc(sizeof *v->units);
		*v->units = *units;
		reread(v);
	} else {
		if (s == STATUS_FENCED || s == STATUS_BUSY)
			coupon_forget(v->svc->coupons, v->coupon);
		end(v, s, units);
	}
}

static void read_units(struct view *v)
{
	availability_read(v->svc, v->coupon, v->detail, on_units, v);
}

void coupon_view_read(struct service *svc, struct coupon *c, enum availability_detail detail, coupon_view_done *done,
		      void *context)
{
	struct view *v = alloc(sizeof *v);
	*v = (struct view){ svc, coupon_hold(c), detail, done, context, false, NULL };
	read_units(v);
}
