/*
 * Work for the drainers, in sets of Redis: whoever notices some enters it there. Coupons are entered with the number of
 * their segments, "12:64", so that their keys are known before MySQL is asked; orders that may be lost with their
 * customer, "12-3-45:6".
 *
 * Nothing here waits. An entry that does not arrive costs time: the next claim makes it again, or a drainer's sweep
 * over all coupons finds the work.
 */
#ifndef SALE_WORKLIST_H
#define SALE_WORKLIST_H

#include "redis/redis.h"
#include "sale/key.h"
#include "sale/order_number.h"

enum { WORKLIST_TEXT = ORDER_NUMBER_TEXT + 24 };

/* The sets of coupons are KEY_DIRTY, KEY_SUSPECTS and KEY_QUARANTINED. */

struct str worklist_member(char text[WORKLIST_TEXT], int64_t coupon, int segments);
/* False: it is no such member, and neither is set. */
bool worklist_read(struct str member, int64_t *coupon, int *segments);

/* A command on a coupon's entry: SADD, SREM or SISMEMBER. */
void worklist_command(struct redis_command *c, const char *name, enum key set, int64_t coupon, int segments);

/* The coupon has orders to drain. */
void worklist_drain(struct redis *r, int64_t coupon, int segments);
/* A slot of the coupon has to be inspected. */
void worklist_inspect(struct redis *r, int64_t coupon, int segments);

/* An order that may be lost; user 0: all numbers up to this one, which some host acknowledged (lost_told). */
struct lost_candidate {
	int64_t coupon, number, user;
	int segment;
};
struct str worklist_lost_member(char text[WORKLIST_TEXT], const struct lost_candidate *lost);
bool worklist_read_lost(struct str member, struct lost_candidate *lost);
void worklist_look_for(struct redis *r, const struct lost_candidate *lost);

#endif
