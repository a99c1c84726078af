/*
 * A coupon and how many units are left, which agree. A worker keeps coupons in a cache, so window, description and
 * price may be older than the hub's version says, or the coupon may be gone: then it is read again before it is shown.
 */
#ifndef PAGE_COUPON_VIEW_H
#define PAGE_COUPON_VIEW_H

#include "page/availability.h"

/*
 * STATUS_OK; c and st are valid during the callback. With NULL for both: STATUS_NO_SUCH_COUPON, Redis does not have the
 * coupon any more; STATUS_UNAVAILABLE; STATUS_FENCED; STATUS_BUSY, as availability_done. In the last two cases the
 * coupon was taken out of the cache.
 */
typedef void coupon_view_done(void *context, enum status s, struct coupon *c, const struct availability *st);

/* Holds c until done was called, which may be before this returns. Does not block. */
void coupon_view_read(struct service *svc, struct coupon *c, enum availability_detail detail, coupon_view_done *done,
		      void *context);

#endif
