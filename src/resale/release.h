/*
 * Release: the customer of an order that is over stops being its owner in Redis, and may claim again. Whose third order
 * of one unit of a coupon has expired, or was cancelled by the customer, stays its owner, under a negative number, and
 * gets no other one of this unit. The orders to release are the rows of returned_orders, written by the transaction
 * that ended the order; a row is deleted once its order is released. Everything here may be repeated. Blocks.
 */
#ifndef RESALE_RELEASE_H
#define RESALE_RELEASE_H

#include "base/arena.h"
#include "resale/step.h"
#include "sale/order_number.h"
#include "sale/owner.h"
#include "sale/service.h"

/* A way through all rows; zeroed before its first step. */
struct release_walk {
	struct order_number after; /* the last row; zeros: the walk begins */
	bool refused;              /* an order of this walk was not released */
	int64_t due_ms;            /* when the next walk is due, by clock_mono_ms */
};

/*
 * Releases the next orders, at most 500. An order is left as it is while its segment is not open, or does not answer:
 * it is tried again with the next walk, a second later.
 */
enum step release_step(struct service *svc, struct arena *a, struct release_walk *w);

/* Releases one order, if that can be done now: otherwise the drainers do it. */
void release_order(struct service *svc, struct arena *a, const struct order_number *order);

/*
 * Lets a customer whose orders of a unit have ended too often claim it once more, if that can be done now. order: the
 * one whose negative number stands for the limit; an entry with another number is left.
 */
void release_limit(struct service *svc, struct arena *a, struct owner owner, const struct order_number *order);

#endif
