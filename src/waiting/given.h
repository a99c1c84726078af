/* The order of a customer who has waited, or has claimed, for the page of his place on a waiting list. */
#ifndef WAITING_GIVEN_H
#define WAITING_GIVEN_H

#include "base/arena.h"
#include "sale/order_number.h"
#include "sale/owner.h"
#include "sale/service.h"
#include "sale/status.h"

struct given {
	struct order_number order;
	int64_t pay_by_ms; /* 0: no payment is asked for, or it is paid */
};

/*
 * Reads which order an owner has of a coupon. STATUS_OK; STATUS_NO_SUCH_ORDER: the owner has none, or there is no such
 * coupon; STATUS_UNAVAILABLE, STATUS_INTERNAL. Blocks for Redis and MySQL.
 */
enum status given_read(struct service *svc, struct arena *a, struct str seller_name, struct str name,
		       struct owner owner, struct given *out);

#endif
