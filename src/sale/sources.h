/*
 * All that is known of a segment's orders, wherever it is written: rows and
 * dead letters in MySQL, the owners and the list in Redis, the customers'
 * lists in other slots, and the mark of this host. For recover.c, while the
 * segment is closed and its cursor is locked.
 */
#ifndef SALE_SOURCES_H
#define SALE_SOURCES_H

#include "sale/coupon.h"

/* Of two sources that name one user, the first is believed. */
enum source { IN_MYSQL, DEAD_LETTER, ON_LIST, AMONG_OWNERS, IN_INDEX };

struct source_claim {
	int64_t user, sequence, claimed_ms; /* 0: not known */
	enum source source;
	int64_t owner_sequence; /* what the owners' hash says; 0: nothing */
};

struct sources {
	int segment;
	struct source_claim *claims; /* one a user, by sequence, after sources_merge */
	int count, capacity;
	uint8_t *taken; /* a bit a sequence: it is an order's or a dead letter's */
	int64_t limit;  /* sequences that the bits have room for */
	int64_t cursor; /* the lowest sequence that MySQL has never had */
	int64_t last;   /* the highest sequence that anybody knows of */
};

void sources_init(struct sources *s, int segment);
void sources_free(struct sources *s);

/* Each adds what it finds. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status sources_read_mysql(struct service *svc, const struct coupon *c, struct sources *s);
enum status sources_read_redis(struct service *svc, const struct coupon *c, struct sources *s);
/* For all segments at once; looks at every customer there is, so it takes its time. */
enum status sources_read_index(struct service *svc, const struct coupon *c, struct sources *all);

/* One claim a user, the most believed. A sequence that is another's already becomes 0. */
void sources_merge(struct sources *s);

/* Of claims whose moment only the customer's list knows: asks it. After the merge. STATUS_OK, STATUS_UNAVAILABLE. */
enum status sources_read_times(struct service *svc, const struct coupon *c, struct sources *s);

/* How many sequences between the cursor and the last one nobody knows an order of. Before the merge. */
int64_t sources_missing(const struct sources *s);

bool sources_is_taken(const struct sources *s, int64_t sequence);
void sources_take(struct sources *s, int64_t sequence);

#endif
