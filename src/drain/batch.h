/* One batch of one coupon's orders: read from its lists, committed, trimmed. */
#ifndef DRAIN_BATCH_H
#define DRAIN_BATCH_H

#include "base/arena.h"
#include "order/known.h"
#include "order/lost.h"
#include "sale/numbers.h"
#include "sale/order_record.h"
#include "sale/service.h"

/* A record on a segment's list: its number, how many stand before it, and the list's incarnation. Number 0: none. */
struct place {
	int64_t number, index, base;
};

struct segment_batch {
	bool waits, skip; /* skip: what follows in it cannot be moved now */
	bool held;        /* not trimmed yet: a customer's list is away */
	bool trimmed;
	int64_t base;         /* the incarnation of the list that was read; -1: that cannot be read */
	int64_t cursor, next; /* the lowest number that MySQL does not have: as it was, and once committed */
	int64_t cursor_base;  /* the highest base that was handed out */
	/*
	 * The last order that MySQL has and that is still on the list, because it could not be trimmed: records up to
	 * it are passed over. The caller may set it before batch_move, from what an earlier batch left here.
	 */
	struct place passed;
	const struct order_record *first; /* that was read: those of a segment stand together; NULL: none */
	int64_t first_index;              /* how many stand before it on the list */
	const struct order_record *last;  /* the last one that is in MySQL, once committed; NULL: none */
	struct known *known;              /* what MySQL has of those below the cursor; NULL: not asked yet */
	int known_count;
	struct ranges *ranges; /* of earlier bases, and those below the cursor that become known; NULL: not asked yet */
	struct str garbage;    /* an unreadable record at the head */
};

struct batch {
	struct service *svc;
	struct arena *arena;
	int64_t coupon;
	int segments;
	struct segment_batch *segment;
	struct order_record *records;
	int count, capacity;
	struct lost_candidate *suspicions; /* older orders of the customers of these, to be looked at */
	int suspicion_count;

	bool raced;    /* another drainer, or a person, decided about the same at the same moment */
	bool known;    /* MySQL has the coupon, as far as that was asked */
	bool oversold; /* MySQL has fewer units than the batch has orders, or no such coupon */
	bool stray;    /* MySQL does not know the coupon: it is closed, and its orders stay on their lists */
	bool replaced; /* a list is of another incarnation than its cursor: the coupon is put in doubt */
	bool away;     /* a list could not be read: its orders wait, those of the others were moved */
	int committed, dead;
	int64_t oldest_ms; /* when the oldest order of the batch was claimed; 0: none */
};

/* Everything lives in the arena. */
void batch_init(struct batch *b, struct service *svc, struct arena *a, int64_t coupon, int segments);

/*
 * Reads, commits, trims. The orders committed, or -1: a server is away, or refuses; nothing is lost. Lists that are
 * away do not hold up the others, and lists that cannot be trimmed only stay as long as they are. A list of another
 * incarnation than its cursor waits for an inspection, which is asked for.
 */
int batch_move(struct batch *b);

#endif
