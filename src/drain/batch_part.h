/*
 * A batch in its parts: drain_batch.c reads, decides in which order and
 * transaction what is done, and trims; drain_rows.c is what a transaction
 * writes; drain_dead.c is what becomes no order.
 */
#ifndef DRAIN_BATCH_PART_H
#define DRAIN_BATCH_PART_H

#include "drain/batch.h"

/* What is to be done with a record. */
enum fate {
	FATE_NONE,   /* MySQL has it, or it must wait (the segment's `skip`) */
	FATE_ORDER,  /* it becomes an order */
	FATE_REVIVE, /* so it does, and the dead letter that names its number as lost ends */
	FATE_NAME,   /* its number is named as lost: a dead letter */
};

/* Logs what the database said. Returns -1. */
int batch_failed(struct batch *b, const char *at);

/* A failure of the database that the same values will meet again. */
bool batch_is_refusal(const struct batch *b);

/* The functions below are parts of one transaction, in this order: 0; -1: the database has failed. */

/* Begins it, locks the cursors, and forgets what an earlier transaction of this batch has found. */
int rows_begin(struct batch *b) MUST_CHECK;

/*
 * Decides about a record, after those before it on its list: the segment's `last` and `next` are behind it then, or its
 * `skip` is set. *letter: of FATE_REVIVE.
 */
int rows_decide(struct batch *b, const struct order_record *r, enum fate *fate, int64_t *letter) MUST_CHECK;

/* Writes what becomes of these records, all but the units and the cursors. */
struct decided {
	const struct order_record *record;
	enum fate fate;
	int64_t letter;
};
int rows_write(struct batch *b, const struct decided *d, int count) MUST_CHECK;

/* 1: the coupon has fewer units than that are sold then: MySQL is the last fence. */
int rows_count_sold(struct batch *b, int units) MUST_CHECK;
int rows_move_cursors(struct batch *b) MUST_CHECK;

/* The coupon of a segment that has no cursor may be one that MySQL has forgotten: -1, and `stray` is set. */
int rows_check_known(struct batch *b) MUST_CHECK;

/* A dead letter of a record; number 0: it has none. 0; -1: the database has failed. */
int dead_letter_put(struct batch *b, int segment, int64_t number, struct str raw, const char *reason) MUST_CHECK;

/* An order that MySQL has refused for good: its letter, and the cursor behind it, in one transaction. 0 or -1. */
int dead_letter_put_refused(struct batch *b, const struct order_record *r, const char *reason) MUST_CHECK;

/* What stands at the head of a segment's list and is no record: its letter, and then it is taken off the list. 0 or -1.
 */
int dead_letter_put_garbage(struct batch *b, int segment) MUST_CHECK;

#endif
