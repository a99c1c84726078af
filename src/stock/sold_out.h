/*
 * The sold-out notice of a worker: the hub declared the coupon sold out, and has confirmed that within the last 600 ms.
 * While the notice is valid, customers are refused without a call to Redis, except for units of which they have an
 * order. Within such an epoch of the hub nobody can win any more, so the winners are read only once (winners.h), and
 * after that the notice is only renewed.
 *
 * When units are added, the hub grants none of them before all earlier notices have ended (lua/supply.lua): a customer
 * who has won is never refused afterwards.
 *
 * While a notice is valid there is also a file by which nginx refuses claims: nginx_marker.h.
 */
#ifndef STOCK_SOLD_OUT_H
#define STOCK_SOLD_OUT_H

#include "sale/coupon.h"

/*
 * SOLD_OUT_NOTICE_MS: how long a notice is valid; openings and recoveries wait as long. SOLD_OUT_FLAG_MS: how long the
 * sold-out flag of a segment is valid at most, by the clock of its server. SOLD_OUT_SKEW_MS: by how much the clocks of
 * a cluster's servers may differ (lua/flag.lua).
 */
enum { SOLD_OUT_NOTICE_MS = 600, SOLD_OUT_FLAG_MS = 1000, SOLD_OUT_SKEW_MS = 250 };

/*
 * Counts a claim that a segment refused as sold out. After many such claims the worker asks the hub, and has a notice
 * for as long as there are claims that need it. Does not block.
 */
void sold_out_note_refusal(struct service *svc, struct coupon *c);

/* True: a notice is valid, and the customer has no order of this unit of the coupon. False: the segment must decide. */
bool sold_out_refuses(const struct coupon *c, struct owner owner);

/* Waits until all notices from before since_ms (by clock_mono_ms) have ended, in all workers and in nginx. Blocks. */
void sold_out_outlast(int64_t since_ms);

#endif
