/*
 * The hub's word "sold out", kept by a worker for 0.6 s at a time, so that
 * losers are answered without a call. Under one epoch of the hub nobody can
 * win any more: the owners of all segments, read once after the word, are all
 * the winners there are, and everyone else is a loser for as long as the word
 * is renewed. After a re-opening the hub grants nothing while workers may
 * still believe in it (lua/supply.lua): who wins is never refused afterwards.
 *
 * While the word lasts it is also left where nginx sees it: marker.h.
 */
#ifndef STOCK_SOLD_OUT_H
#define STOCK_SOLD_OUT_H

#include "sale/coupon.h"

enum { SOLD_OUT_LEASE_MS = 600 }; /* lua/supply.lua waits for it, and so does recover.c */

/* A segment said "sold out": from now on the hub is asked for its word, as long as claims come that need it. */
void sold_out_heard(struct service *svc, struct coupon *c);

/* The user has no order of this coupon, and no unit is left. False: ask the segment. */
bool sold_out_is_lost(struct coupon *c, int64_t user);

/* Waits until no word from before that moment (of clock_mono_ms) is believed any more, by any worker or nginx. Blocks.
 */
void sold_out_outlast(int64_t since_ms);

/* With the coupon's memory. */
void sold_out_free(struct sold_out *s);

#endif
