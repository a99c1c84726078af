/*
 * The transaction of a batch in MySQL: it writes orders, dead letters, the count of sold units and the cursors of the
 * segments. It locks the cursors first, in one statement, and changes the coupon's row last, so that of two drainers
 * one waits for the other, and they cannot deadlock. Blocks.
 */
#ifndef DRAIN_TRANSACTION_H
#define DRAIN_TRANSACTION_H

#include "drain/batch.h"

enum transaction_end {
	TRANSACTION_COMMITTED,
	TRANSACTION_REFUSED,  /* MySQL refuses a value, and will again; db_error says why */
	TRANSACTION_OVERSOLD, /* MySQL counts fewer units than there would be orders, or has no such coupon */
	TRANSACTION_FAILED,   /* the database has failed, and it was logged; or `stray` of the batch is set */
};

/*
 * Moves `count` records of the batch. After TRANSACTION_COMMITTED, `committed` of each segment is the last record that
 * was decided. Otherwise the transaction is rolled back, and of the batch's results only `stray` and `replaced` may
 * have been set.
 */
enum transaction_end transaction_move(struct batch *b, const struct order_record *records, int count);

/*
 * Makes a dead letter of a record that transaction_move refused, and moves the cursor past it. 0, also when the record
 * has become an order or a dead letter meanwhile; -1: the database has failed, which was logged.
 */
int transaction_bury(struct batch *b, const struct order_record *r, const char *reason) MUST_CHECK;

/*
 * Asks MySQL whether it has the coupon, unless `coupon_exists` is set. 0: MySQL has it. -1: MySQL does not, and `stray`
 * is set; or the database has failed.
 */
int transaction_find_coupon(struct batch *b) MUST_CHECK;

#endif
