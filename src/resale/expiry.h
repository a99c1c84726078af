/*
 * Expiry: orders that were not paid in time end, those that are due longest first. The sale clock decides; while Redis
 * does not answer, no order expires. Everything here may be repeated, and by several drainers at once; the lease of a
 * coupon keeps them apart, so that one drains while another one expires. Blocks.
 */
#ifndef RESALE_EXPIRY_H
#define RESALE_EXPIRY_H

#include "base/arena.h"
#include "resale/step.h"
#include "sale/service.h"

/* A way through all orders that are due; zeroed before its first step. */
struct expiry_walk {
	int64_t after_ms, coupon, sequence; /* the last row; zeros: the walk begins */
	int segment;
	bool failed;     /* orders of this walk were not expired */
	int64_t expired; /* orders, in all walks */
	int64_t due_ms;  /* when the next walk is due, by clock_mono_ms */
};

/*
 * Expires the next orders that are due, at most 500; first_ms: the earliest pay_by_ms of all. Orders that cannot be
 * expired hold up no others: they are tried again with the next walk, a second later.
 */
enum step expiry_step(struct service *svc, struct arena *a, struct expiry_walk *w, int64_t first_ms);

#endif
