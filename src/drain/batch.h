/*
 * A batch: orders of one coupon, read from the lists of its segments, and what becomes of them. Its memory is in the
 * caller's arena.
 */
#ifndef DRAIN_BATCH_H
#define DRAIN_BATCH_H

#include "base/arena.h"
#include "order/known.h"
#include "sale/numbers.h"
#include "sale/order_record.h"
#include "sale/service.h"
#include "sale/worklist.h"

/*
 * A record on a segment's list: its number, how many records are before it, and the segment's base. Number 0: no place.
 */
struct place {
	int64_t number, index, base;
};

struct segment_batch {
	/*
	 * The last order that is in MySQL and still on the list, because the list could not be trimmed: a batch reads
	 * from the record behind it. Set by untrimmed_pass_over; after_commit sets it anew.
	 */
	struct place passed;

	/* What batch_read found. */
	int64_t base;                     /* of the segment; -1: it cannot be read */
	bool waits;                       /* the list has records behind `passed` */
	const struct order_record *first; /* in `records`, where a segment's records are adjacent; NULL: none */
	int64_t first_index;              /* how many records are before `first` on the list */
	struct str garbage;               /* the record at the head of the list, when it cannot be read */

	/* State of the transaction under way. */
	struct cursor cursor;            /* before this transaction, which inserts a cursor that does not exist */
	int64_t next;                    /* what the cursor's next number becomes */
	const struct order_record *last; /* up to this record all are decided; NULL: none is */
	bool skip;                       /* the records that follow cannot be moved now */
	struct known_numbers known;      /* what MySQL has under numbers below the cursor; `at` is NULL: not read yet */
	struct ranges *ranges;           /* of earlier bases, and what this transaction adds; NULL: not read yet */

	/* Set by the commit and after it. */
	const struct order_record *committed; /* `last` of the last committed transaction; NULL: none */
	bool held;                            /* must not be trimmed: a customer's list is unreachable */
	bool is_settled; /* the server answered the trim, even if it trimmed nothing because the base has changed */
};

struct batch {
	struct service *svc;
	struct arena *arena;
	int64_t coupon;
	int segments;
	int first; /* of which segment records are added first; 0, or set before batch_read */
	struct segment_batch *segment;
	struct order_record *records;
	int count, capacity;

	bool coupon_exists;   /* in MySQL; false also while MySQL was not asked */
	int64_t pay_within_s; /* of the coupon, when it exists */
	int64_t limit;        /* the same: units of one customer */
	bool stray;           /* MySQL does not have the coupon: it gets closed, and its orders stay on their lists */
	bool replaced;        /* a segment has another base than its cursor: the coupon must be inspected */
	bool away;            /* a list could not be read: its orders wait, and those of the other lists are moved */
	int committed, dead;
	int64_t oldest_ms; /* when the oldest order of the batch was claimed; 0: the batch is empty */
};

void batch_init(struct batch *b, struct service *svc, struct arena *a, int64_t coupon, int segments);

/*
 * Reads up to drain_batch records, each list from the record behind `passed`. At a record that cannot be read, or whose
 * number is not above that of the record before it, it stops to read this list. When all lists are long, the last ones
 * get less; so batches should begin at another segment each time. Blocks.
 */
void batch_read(struct batch *b);

/* Logs the database's error; `at` names the step that failed. Returns -1. */
int batch_failed(struct batch *b, const char *at);

#endif
