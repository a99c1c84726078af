/*
 * Recovery: writes the slots of a coupon in Redis anew after they were quarantined or lost. Its sources are MySQL, what
 * Redis still has, and the order numbers that this host acknowledged; no number that one of them has is given out
 * again. The coupon is closed during the recovery. Data of other coupons is not touched.
 */
#ifndef RECOVER_RECOVER_H
#define RECOVER_RECOVER_H

#include "sale/service.h"

struct recovery_result {
	int64_t generation; /* the coupon's new generation */
	int64_t orders;     /* in MySQL after the recovery */
	int64_t rescued;    /* of these, orders that only Redis had before */
	int64_t renumbered; /* of the rescued, orders with a new number: another order has the old one */
	int64_t refused;    /* orders that became dead letters: no unit was left, or MySQL refused the row */
	int64_t unknown;    /* lost orders: numbers that were given out, now dead letters; each holds a unit */
	int64_t available;  /* units on sale again */
};

struct recovery_options {
	bool resell;        /* sell the units of lost orders again; false: hold them */
	int64_t generation; /* not 0: return STATUS_BUSY and do nothing unless this is the coupon's generation */
};

/*
 * First everything is read, and every server to which the recovery will write must answer; if one does not, the result
 * is STATUS_UNAVAILABLE and nothing was changed. Then the coupon gets a new generation, and all its slots are closed
 * under that generation, so that scripts of the old generation change nothing any more. Then one transaction inserts
 * the orders that MySQL lacks; where a row contradicts other evidence, the row counts. Then the slots are written anew
 * from MySQL, each segment under a new base and the hub in a new term, and opened. A recovery may be killed at any
 * point and run again; a second run changes only generation, bases and term.
 *
 * STATUS_OK; STATUS_NO_SUCH_COUPON, also of one that is archived; STATUS_BUSY: another recovery of the coupon runs;
 * STATUS_UNAVAILABLE: a server is unreachable, run the recovery again; STATUS_INTERNAL. Blocks, for seconds when there
 * are millions of orders.
 */
enum status recover_coupon(struct service *svc, struct arena *a, int64_t coupon, const struct recovery_options *options,
			   struct recovery_result *out);

/*
 * True: a recovery of the coupon runs, on any host, or a recovery has changed the coupon's generation from this one.
 * False also while MySQL is unreachable. Blocks.
 */
bool recover_has_begun(struct service *svc, struct arena *a, int64_t coupon, int64_t generation);

#endif
