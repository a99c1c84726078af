/* What MySQL has under order numbers of a segment: an order, a dead letter, or neither. */
#ifndef ORDER_KNOWN_H
#define ORDER_KNOWN_H

#include "base/arena.h"
#include "sale/service.h"

struct known {
	int64_t number;
	int64_t user;    /* the customer of the order, whatever its status; 0: no order has this number */
	int unit;        /* which of the customer's units; 0: no order has this number */
	int64_t letter;  /* the id of a dead letter; 0: no letter has this number */
	bool may_revive; /* the letter is open and names the number as lost: the order may still become a row */
};

/* At most 1000 numbers of one segment, in ascending order. */
struct known_numbers {
	int64_t coupon;
	int segment, count;
	struct known *at;
};

/*
 * Sets user, unit, letter and may_revive of the entries, in which the caller has set number and zeroed the rest. 0; -1:
 * the database has failed. Blocks.
 */
int known_read(struct service *svc, struct arena *a, struct known_numbers *numbers) MUST_CHECK;

#endif
