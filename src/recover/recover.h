/*
 * Makes a coupon right again whose slots in Redis went back in time, do not
 * agree, or are gone: from MySQL, from what Redis still has, and from the
 * marks of this host. Nothing is flushed; the sale is closed meanwhile. No
 * order number that any of them knows is given again.
 */
#ifndef RECOVER_RECOVER_H
#define RECOVER_RECOVER_H

#include "sale/service.h"

struct recovery {
	int64_t generation; /* which the coupon has from now on */
	int64_t orders;     /* in MySQL at the end */
	int64_t rescued;    /* of these, known to Redis only until now */
	int64_t renumbered; /* of the rescued: their number was another's, or lost */
	int64_t refused;    /* accepted in Redis, and no unit is left for them: dead letters */
	int64_t unknown;    /* numbers that were given out and whose orders are nowhere: new dead letters, held back */
	int64_t available;  /* units on sale again */
};

/*
 * First all is read, and every server that will be written to must be there: else STATUS_UNAVAILABLE, and nothing was
 * changed. Then a new generation, and every slot is closed under it: nothing of the old one is executed any more. Then
 * all that is known of the orders goes into MySQL in one transaction, MySQL's own first. Then the slots are written
 * anew from MySQL, each under a new base of numbers and the hub in a new term, and opened. May be killed at any point
 * and run again; a second run changes nothing but generation, bases and term.
 *
 * resell: numbers whose orders are nowhere are not held back, their units are sold again.
 * STATUS_OK; STATUS_NO_SUCH_COUPON; STATUS_BUSY: another recovery of it runs; STATUS_UNAVAILABLE: a server is away, run
 * it again; STATUS_INTERNAL. Blocks, for seconds when there are millions of orders.
 */
enum status recover_coupon(struct service *svc, struct arena *a, int64_t coupon, bool resell, struct recovery *out);

/* Whether a recovery of it runs, on any host. False also while MySQL is away. Blocks. */
bool recover_is_running(struct service *svc, struct arena *a, int64_t coupon);

#endif
