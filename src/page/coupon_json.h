/* A coupon as JSON. */
#ifndef PAGE_COUPON_JSON_H
#define PAGE_COUPON_JSON_H

#include "base/buf.h"
#include "page/availability.h"

/* Writes members into an object: what everybody reads, and what only the coupon's seller reads. */
void coupon_put(struct buf *body, const struct coupon *c, const struct availability *st);
void coupon_put_segments(struct buf *body, const struct availability *st);

#endif
