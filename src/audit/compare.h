/* One segment's orders while they are compared: audit_orders.c sees them in their places, audit_judge.c judges them. */
#ifndef AUDIT_COMPARE_H
#define AUDIT_COMPARE_H

#include "audit/audit_part.h"

/* Where an order of a number was seen. */
enum seen {
	OWNED = 1,
	TWICE = 2, /* it has two owners */
	QUEUED = 4,
	ROW = 8,
	OVER = 16,  /* a row that is cancelled or expired */
	NAMED = 32, /* lost: it has a record on the list, or a dead letter, and holds its unit */
	LETTER = 64,
	FREE = 128, /* a dead letter that says that it has no unit */
};

struct compare {
	struct service *svc;
	struct audit *audit;
	const struct audit_segment *segment;
	int number_of_segment;
	const struct audit_manner *manner;
	enum status status;
	struct arena arena; /* of one answer */

	struct arena ranges_arena;
	struct ranges ranges; /* up to the segment's last number, as it was when its totals were read */
	int64_t most;         /* numbers that a range can have */
	bool has_grown;       /* a range has more numbers than was known: all must be looked at anew */

	int64_t total;        /* places of all ranges */
	int64_t first, count; /* those which are compared now */
	int64_t *user;        /* by place - first: the owner, or else who has it elsewhere */
	unsigned char *seen;

	int64_t last_owner, last_listed, last_row; /* the highest number anywhere */
	int64_t behind;                            /* on the list: what stands behind that which is seen next */
	int64_t certain, possible;                 /* numbers that hold a unit; those which may */
	const char *place;
	int64_t read;
};

void compare_add(struct compare *c, struct finding one);
bool compare_is_first_window(const struct compare *c);

/* Now and then: tells who wants to see it how many were read. */
void compare_progress(struct compare *c);

/* What was seen of the numbers of a window; then, once all were seen, what is told of the segment as a whole. */
void judge_window(struct compare *c);
void judge_segment(struct compare *c);

#endif
