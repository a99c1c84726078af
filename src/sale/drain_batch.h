/* One batch of one coupon's orders: read from its lists, committed, trimmed. */
#ifndef SALE_DRAIN_BATCH_H
#define SALE_DRAIN_BATCH_H

#include "base/arena.h"
#include "sale/record.h"
#include "sale/service.h"

/* A record on a segment's list: its sequence, and how many stand before it. Sequence 0: none. */
struct place {
	int64_t sequence, index;
};

struct segment_batch {
	bool waits, skip; /* skip: what follows in it cannot be moved now */
	bool held;        /* not trimmed yet: a customer's list is away */
	bool trimmed;
	int64_t next; /* the cursor: the lowest sequence that MySQL does not have */
	int64_t last; /* the highest sequence in Redis that MySQL has, once committed */
	/*
	 * The last order that MySQL has and that is still on the list, because it could not be trimmed: records up to
	 * it are passed over. The caller may set it before batch_move, from what an earlier batch left here.
	 */
	struct place passed;
	struct place first;   /* that was read */
	struct db_rows known; /* what MySQL has of those below the cursor: sequence, user */
	int known_at;         /* the row that is compared next */
	struct str garbage;   /* an unreadable record at the head */
};

struct batch {
	struct service *svc;
	struct arena *arena;
	int64_t coupon;
	int segments;
	struct segment_batch *segment;
	struct record *records;
	int count, capacity;

	bool entered;  /* in the customers' lists */
	bool raced;    /* another drainer began with this coupon at the same moment */
	bool known;    /* MySQL has the coupon, as far as that was asked */
	bool oversold; /* MySQL has fewer units than the batch has orders, or no such coupon */
	bool stray;    /* MySQL does not know the coupon: it is closed, and its orders stay on their lists */
	bool away;     /* a list could not be read: its orders wait, those of the others were moved */
	int committed, dead;
	int64_t oldest_ms; /* when the oldest order of the batch was claimed; 0: none */
};

/*
 * A row of drain_cursors that begins with segment and next_seq; the segment may be beyond those of its coupon. Not 0:
 * it is none, and the database has failed for this reason.
 */
int cursor_row(struct db *db, const struct db_value *row, int64_t *segment, int64_t *next) MUST_CHECK;

/* Everything lives in the arena. */
void batch_init(struct batch *b, struct service *svc, struct arena *a, int64_t coupon, int segments);

/*
 * Reads, commits, trims. The orders committed, or -1: a server is away, or refuses; nothing is lost. Lists that are
 * away do not hold up the others, and lists that cannot be trimmed only stay as long as they are.
 */
int batch_move(struct batch *b);

#endif
