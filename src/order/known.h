/* What MySQL has under order numbers of a segment: an order, a dead letter, neither. */
#ifndef ORDER_KNOWN_H
#define ORDER_KNOWN_H

#include "base/arena.h"
#include "sale/service.h"

struct known {
	int64_t number;
	int64_t user;    /* of the order, whatever its status; 0: there is none */
	int64_t letter;  /* the id of a dead letter; 0: there is none */
	bool may_revive; /* the letter is open and names the number as lost: should the order come back, it becomes one
			  */
};

/*
 * Fills in what there is under the numbers of these entries, which are in ascending order; all else in them is 0. At
 * most 1000. 0; -1: the database has failed. Blocks.
 */
int known_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct known *entries,
	       int count) MUST_CHECK;

#endif
