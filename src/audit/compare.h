/* The comparison of a segment's orders: orders.c notes where each was seen, compare_order.c decides what is wrong. */
#ifndef AUDIT_COMPARE_H
#define AUDIT_COMPARE_H

#include "audit/report.h"

/* Where an order number was seen. */
enum seen {
	OWNED = 1,
	TWICE = 2, /* it has two owners */
	QUEUED = 4,
	ROW = 8,
	OVER = 16,  /* a row of an order that is cancelled or expired */
	NAMED = 32, /* recorded as lost on the list or in a dead letter: the number holds a unit */
	LETTER = 64,
	FREE = 128,      /* a dead letter whose number holds no unit */
	RETURNED = 256,  /* a row that is over, and in returned_orders */
	TOMBSTONE = 512, /* its customer cannot claim again, because of this order and earlier ones that are over */
};

struct compare {
	struct service *svc;
	struct audit *audit;
	const struct audit_segment *segment;
	int segment_number;
	const struct audit_options *options;
	enum status status;
	struct arena arena; /* for one reply or one query */

	struct arena ranges_arena;
	struct ranges ranges; /* up to the last number that the segment had when its totals were read */
	int64_t most;         /* numbers that one range can have at most */
	bool has_grown;       /* a range turned out to have more numbers: start again */

	/* The window: the numbers that are compared at present. An index is that of a number in all ranges together. */
	int64_t total;        /* numbers in all ranges */
	int64_t first, count; /* index of the window's first number, and how many it has */
	int64_t *owner;       /* by index - first: the owner, else whom another source has, as owner_code; 0: nobody */
	uint16_t *seen;       /* by index - first: enum seen */

	int64_t last_owner, last_listed, last_row; /* the highest number in each place */
	int64_t behind;                            /* of the list, read from its end: the number read last */
	int64_t certain, possible;                 /* numbers that hold a unit; the same and those that may hold one */
	const char *place;                         /* the source that is read at present, for progress */
	int64_t read;                              /* orders of it that were read */
};

/* Adds a finding of this segment. */
static inline void compare_add(struct compare *c, struct finding one)
{
	one.segment = c->segment_number;
	findings_add(&c->audit->findings, one);
}

/* Counts an order that was read, and calls options->progress after every 16,384. */
static inline void compare_progress(struct compare *c)
{
	enum { STEP = 16384 };
	if (++c->read % STEP == 0 && c->options->progress)
		c->options->progress(c->options->context, c->segment_number, c->place, c->read);
}

#endif
