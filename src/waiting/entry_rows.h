/* Rows of waiting_entries: the entries of waiting lists, present and past, as MySQL has them. */
#ifndef WAITING_ENTRY_ROWS_H
#define WAITING_ENTRY_ROWS_H

#include "base/arena.h"
#include "mysql/db.h"
#include "sale/owner.h"
#include "sale/service.h"

enum entry_state {
	ENTRY_WAITS,
	ENTRY_PROMOTED,
	ENTRY_LEFT,
	ENTRY_ENDED,
	ENTRY_UNKNOWN
}; /* the last: there is no row */

enum { ENTRIES_MOST = 64 }; /* of one call */

struct entry {
	int64_t ticket, joined_ms;
	struct owner owner;
	enum entry_state state;
};

/* Sets the state of each entry to that of its row. 0; -1: the database has failed. Blocks. */
int entry_rows_read(struct service *svc, struct arena *a, int64_t coupon, struct entry *entries, int count) MUST_CHECK;

/*
 * Reads the rows of entries that wait, with tickets above `after`, in the order of their tickets: up to ENTRIES_MOST.
 * Returns their count; -1: the database has failed. Blocks.
 */
int entry_rows_waiting(struct service *svc, struct arena *a, int64_t coupon, int64_t after,
		       struct entry *entries) MUST_CHECK;

/*
 * In the caller's transaction, which has locked the coupon's row: inserts rows of those entries that have none, as
 * promoted where an order has the ticket, else as waiting. 0; -1: the database has failed. Blocks.
 */
int entry_rows_insert(struct service *svc, struct arena *a, int64_t coupon, struct entry *entries,
		      int count) MUST_CHECK;

/* Gives entries that wait another state. 0; -1: the database has failed. Blocks. */
int entry_rows_set(struct service *svc, int64_t coupon, const struct entry *entries, int count,
		   enum entry_state state) MUST_CHECK;

/*
 * Begins a transaction and locks the coupon's row. The drain marks entries as promoted after it has locked the same
 * row, so of an entry and its order one is seen by the other. *exists is false if MySQL does not have the coupon. 0;
 * -1.
 */
int entry_rows_begin(struct service *svc, struct arena *a, int64_t coupon, bool *exists) MUST_CHECK;

#endif
