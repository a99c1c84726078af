/*
 * Evidence: all that is known of the orders of one segment. Its sources are rows, dead letters and ranges of order
 * numbers in MySQL; the segment, its owners and its list in Redis; the customers' lists in other slots; and the highest
 * number that this host acknowledged. A recovery collects it while the segment is closed and its cursor is locked.
 *
 * The readers add orders and numbers, then evidence_merge decides which order each owner has: a customer, and one of
 * the units that he may have.
 */
#ifndef RECOVER_EVIDENCE_H
#define RECOVER_EVIDENCE_H

#include "sale/coupon.h"
#include "sale/state.h"

/* Where an order was found. If two sources name the same owner, the one that stands first here counts. */
enum evidence_source {
	SOURCE_ROW,
	SOURCE_DEAD_LETTER,
	SOURCE_LIST,
	SOURCE_OWNERS,
	SOURCE_CUSTOMER, /* the customer's own list, on a cluster */
	SOURCE_OVER,     /* not a source: the order is over, or is recorded as lost and stays lost */
};

struct evidence_order {
	struct owner owner; /* unit 0, until evidence_merge: not known, as in customers' lists */
	int64_t claimed_ms; /* 0: not known */
	int64_t ticket;     /* of the waiting list; 0: none */
	int64_t number;     /* 0: none yet, because another order or a lost one has its number */
	enum evidence_source source;
	int64_t owner_number; /* of the owner's entry in the segment; 0: there is no entry */
	int64_t acknowledged; /* the number that the customer may have been given; 0: the one that MySQL has */
	int64_t letter;       /* id of the dead letter to be ended once the order has its row; 0: none */
};

/* What MySQL has under a number. */
enum evidence_standing {
	NUMBER_HAS_ROW,    /* an order, of whatever status */
	NUMBER_HAS_LETTER, /* a dead letter that waits for an operator's decision */
	NUMBER_LOST,       /* the dead letter of a lost order */
	NUMBER_FREE,       /* a dead letter whose order may get a row */
};

struct evidence_number {
	int64_t number, letter; /* letter 0: none, or one that an operator has ended */
	struct owner owner;     /* user 0: not known */
	enum evidence_standing standing;
	bool is_held; /* of a lost order: its unit is held, not sold again */
};

/* Numbers that were given out: base + 1 to base + count. */
struct evidence_range {
	int64_t base, count, stored; /* stored: the count in MySQL */
};

struct evidence {
	int segment;
	struct evidence_order
		*orders; /* after evidence_merge: one per owner, by number, orders without a number last */
	int order_count, order_capacity;
	struct evidence_number *numbers; /* of rows and dead letters */
	int number_count, number_capacity;
	struct evidence_range *ranges; /* by base; the first base is 0 */
	int range_count, range_capacity, range_at;
	int64_t last;             /* the highest number in any source */
	int64_t base;             /* the highest base in any source */
	int64_t term;             /* of the hub, as the segment has recorded it */
	struct steering steering; /* as the segment has it */
};

void evidence_init(struct evidence *e, int segment);
void evidence_release(struct evidence *e);

/* Notes that this number and all lower ones of its range were given out. 0 is no number. */
void evidence_note_number(struct evidence *e, int64_t number);
/* Notes that this base was handed out, and at least `count` numbers above it given out. */
void evidence_note_range(struct evidence *e, struct evidence_range range);

/*
 * The readers. Read MySQL first, because its ranges say to which base a number belongs. They block. STATUS_OK,
 * STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status evidence_read_mysql(struct service *svc, const struct coupon *c, struct evidence *e);
enum status evidence_read_redis(struct service *svc, const struct coupon *c, struct evidence *e);
/* On a cluster; `all` has the evidence of each segment. Reads every list of a customer, which takes long. */
enum status evidence_read_customers(struct service *svc, const struct coupon *c, struct evidence *all);

/* For the readers, and tests. */
void evidence_add_order(struct evidence *e, struct evidence_order order);
void evidence_add_number(struct evidence *e, struct evidence_number number);
void evidence_sort_numbers(struct evidence *e); /* after the last evidence_add_number */

/*
 * Keeps one order per owner, that of the first source. An order whose number another order has gets the number 0.
 * `limit`: units that a customer may have. An order of which only the customer's list is left gets the customer's
 * lowest unit without an order; if all have one, it is dropped.
 */
void evidence_merge(struct evidence *e, int64_t limit);

/*
 * On a cluster, reads the claim times of orders that only the owners have from the customers' lists. After
 * evidence_merge. Blocks. STATUS_OK, STATUS_UNAVAILABLE.
 */
enum status evidence_read_times(struct service *svc, const struct coupon *c, struct evidence *e);

/* Counts, and lists in ascending order, the numbers that were given out and whose orders are in no source. */
int64_t evidence_count_missing(const struct evidence *e);
void evidence_list_missing(const struct evidence *e, int64_t *numbers);

/* True: MySQL lacks the order, which must get a row. After evidence_merge. */
static inline bool evidence_is_new(const struct evidence_order *order)
{
	return order->source > SOURCE_DEAD_LETTER && order->source < SOURCE_OVER;
}

#endif
