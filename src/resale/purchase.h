/* A claim that a drainer makes in the name of a customer. Does not block. */
#ifndef RESALE_PURCHASE_H
#define RESALE_PURCHASE_H

#include "sale/order_number.h"
#include "sale/owner.h"
#include "sale/service.h"
#include "sale/status.h"

struct purchase;

/* Claims this unit of the coupon. The service needs the engine: svc->redis, on svc->loop, which somebody turns. */
struct purchase *purchase_begin(struct service *svc, int64_t coupon, struct owner owner);
/* Waits for its end, and frees it; NULL is allowed. */
void purchase_free(struct purchase *p);

/*
 * True: it has ended, in one of the ways of claim_submit, or as STATUS_NO_SUCH_COUPON. *order is set with
 * STATUS_CREATED and STATUS_ALREADY_CLAIMED, and with STATUS_LIMIT_REACHED to the last order that counted.
 */
bool purchase_has_ended(const struct purchase *p, enum status *s, struct order_number *order);

#endif
