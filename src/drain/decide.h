/*
 * Decides what becomes of a record. A number at or above the segment's cursor is new, and must follow the number before
 * it without a gap; MySQL need not be asked. A number below the cursor was committed before, or it is of an earlier
 * base. In both cases MySQL is asked, and the number is new if it has neither a row nor a dead letter: orders of an
 * earlier base stay on the list, and a promoted replica may have an order that the other servers lost.
 */
#ifndef DRAIN_DECIDE_H
#define DRAIN_DECIDE_H

#include "drain/batch.h"

enum fate {
	FATE_NONE,   /* nothing to do: MySQL has it, or it must wait (`skip` of the segment) */
	FATE_ORDER,  /* it becomes an order */
	FATE_REVIVE, /* it becomes an order, and the dead letter that names its number as lost ends */
	FATE_NAME,   /* a dead letter names its number as lost */
};

struct decision {
	const struct order_record *record;
	enum fate fate;
	int64_t letter; /* of FATE_REVIVE: the id of the dead letter */
};

/*
 * To be called for the records of a list in their order. Sets `last` and `next` of the segment, or its `skip`. `end` is
 * behind the last record of this transaction, so that one query reads what MySQL has of all of them. 0; -1: the
 * database has failed.
 */
int decide(struct batch *b, const struct order_record *r, const struct order_record *end,
	   struct decision *d) MUST_CHECK;

#endif
