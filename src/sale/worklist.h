/*
 * Worklists: sets in Redis in which any process enters work for the drainers. An entry is a coupon and the number of
 * its segments, "12:64", so that all keys of the coupon are known without MySQL; or an order that may be lost and its
 * customer, "12-3-45:6".
 *
 * Nothing here blocks. An entry that is lost delays the work until a claim enters it again, or until a drainer's sweep
 * over all coupons finds it.
 */
#ifndef SALE_WORKLIST_H
#define SALE_WORKLIST_H

#include "redis/redis.h"
#include "sale/key.h"
#include "sale/order_number.h"

enum { WORKLIST_TEXT = ORDER_NUMBER_TEXT + 24 };

/* Write and read an entry of KEY_DIRTY, KEY_SUSPECTS, KEY_QUARANTINED or KEY_WAITED: a coupon. False: it is not an
 * entry. */
struct str worklist_member(char text[WORKLIST_TEXT], int64_t coupon, int segments);
bool worklist_read(struct str member, int64_t *coupon, int *segments);

/* Builds SADD, SREM or SISMEMBER of a coupon's entry. */
void worklist_command(struct redis_command *c, const char *name, enum key set, int64_t coupon, int segments);

/* Enters a coupon that has orders to drain. */
void worklist_drain(struct redis *r, int64_t coupon, int segments);
/* Enters a coupon to be inspected, because a slot of it is or may be suspect. */
void worklist_inspect(struct redis *r, int64_t coupon, int segments);

/* Enters a coupon for which people wait, so that drainers look for units that come back. */
void worklist_wait(struct redis *r, int64_t coupon, int segments);

/* An order that may be lost; with user 0, all orders up to this number, which a host has acknowledged. */
struct lost_candidate {
	int64_t coupon, number, user;
	int segment;
};
struct str worklist_lost_member(char text[WORKLIST_TEXT], const struct lost_candidate *lost);
bool worklist_read_lost(struct str member, struct lost_candidate *lost);
/* Enters such an order, for the drainers to look for it. */
void worklist_look_for(struct redis *r, const struct lost_candidate *lost);

#endif
