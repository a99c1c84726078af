/*
 * All that is known of a segment's orders, wherever it is written: rows, dead
 * letters and ranges of numbers in MySQL, the slot, its owners and its list in
 * Redis, the customers' lists in other slots, and the mark of this host. For
 * recover.c, while the segment is closed and its cursor is locked.
 */
#ifndef RECOVER_EVIDENCE_H
#define RECOVER_EVIDENCE_H

#include "sale/coupon.h"

/* Of two sources that name one user, the first is believed. OVER: nothing has to be done for this order. */
enum source { IN_MYSQL, DEAD_LETTER, ON_LIST, AMONG_OWNERS, IN_INDEX, OVER };

struct evidence_claim {
	int64_t user, sequence, claimed_ms; /* 0: not known */
	enum source source;
	int64_t owner_sequence; /* what the owners' hash says; 0: nothing */
	int64_t told;           /* what the customer may have been told, unless MySQL has it; 0: nothing */
	int64_t letter; /* the dead letter that says that this order is lost, which it is not; 0: there is none */
};

/* What MySQL has under a number */
enum standing {
	HAS_ROW,    /* an order, which holds or is over */
	HAS_LETTER, /* a dead letter for a person to look at */
	IS_LOST,    /* a dead letter: it was given out, and the order is nowhere */
	IS_FREE,    /* a dead letter that does not stand in the way of this very order */
};

struct evidence_number {
	int64_t number, user, letter; /* user 0: not known; letter 0: none, or one that has ended */
	enum standing standing;
	bool is_held; /* of a lost one: no one else has its unit */
};

/* Numbers that were given out: base + 1 to base + count. */
struct evidence_range {
	int64_t base, count, stored; /* stored: the count that MySQL has */
};

struct evidence {
	int segment;
	struct evidence_claim *claims; /* after evidence_merge: one a user, by sequence, those without one behind */
	int count, capacity;
	struct evidence_number *known; /* rows and dead letters */
	int known_count, known_capacity;
	struct evidence_range *ranges; /* by base; the first is 0 */
	int range_count, range_capacity, range_at;
	int64_t last; /* the highest number that anybody knows of */
	int64_t base; /* the highest base that anybody knows of */
	int64_t term; /* the hub's, as the segment knows it */
};

void evidence_init(struct evidence *s, int segment);
void evidence_free(struct evidence *s);

/* A number that was given out, whoever says so: there is a range that reaches to it. 0 is none. */
void evidence_see(struct evidence *s, int64_t number);
/* A range that began, and what is known of its count. */
void evidence_see_range(struct evidence *s, struct evidence_range range);

/* Each adds what it finds, MySQL's first. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status evidence_read_mysql(struct service *svc, const struct coupon *c, struct evidence *s);
enum status evidence_read_redis(struct service *svc, const struct coupon *c, struct evidence *s);
/* For all segments at once; looks at every customer there is, so it takes its time. */
enum status evidence_read_index(struct service *svc, const struct coupon *c, struct evidence *all);

/* Found by the readers above. */
void evidence_add(struct evidence *s, struct evidence_claim claim);
void evidence_add_known(struct evidence *s, struct evidence_number known);
void evidence_sort_known(struct evidence *s); /* once all were added */

/* One claim a user, the most believed. A sequence that is another's already becomes 0. */
void evidence_merge(struct evidence *s);

/* Of claims whose moment only the customer's list knows: asks it. After the merge. STATUS_OK, STATUS_UNAVAILABLE. */
enum status evidence_read_times(struct service *svc, const struct coupon *c, struct evidence *s);

/* How many numbers were given out and nobody knows an order of. */
int64_t evidence_missing(const struct evidence *s);
/* As many, in ascending order. */
void evidence_list_missing(const struct evidence *s, int64_t *numbers);

/* Whether MySQL does not have this order. After the merge. */
static inline bool source_is_new(const struct evidence_claim *claim)
{
	return claim->source > DEAD_LETTER && claim->source < OVER;
}

#endif
