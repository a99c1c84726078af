/*
 * A segment's orders where they are: owners and list in Redis, dead letters and rows in MySQL. Page by page, so that a
 * million take no more memory than a thousand. An order moves from the list to a row or a dead letter, and from a dead
 * letter to a row: who reads the four in this order misses none, also while the sale goes on.
 */
#ifndef AUDIT_SCAN_H
#define AUDIT_SCAN_H

#include "sale/service.h"
#include "sale/status.h"

/* What a dead letter says of the unit of its number. */
enum letter_unit {
	LETTER_OF_ORDER, /* it is its order's, unless that has never had one */
	LETTER_HOLDS,    /* it is held: the order is lost */
	LETTER_FREE,     /* there is none any more */
};

struct sighting {
	int64_t sequence, user; /* sequence 0: what stands there is no order; user 0: the order is lost */
	int64_t claimed_ms;     /* of the list */
	int64_t id;             /* of a dead letter, */
	enum letter_unit unit;  /* too */
	bool over;              /* a row that is cancelled or expired; a dead letter that is not open any more */
	bool unknown_user;      /* a row's */
};

struct scan {
	struct service *svc;
	int64_t coupon;
	int segment;
	void (*see)(void *context, const struct sighting *s);
	void *context;
};

/* All of them: STATUS_OK. Each blocks; STATUS_UNAVAILABLE, STATUS_INTERNAL. Owners in no order, some perhaps twice. */
enum status scan_owners(const struct scan *s);

/* From the end of the list to its head, so that a trim meanwhile hides nothing; what is pushed meanwhile may be missed,
 * and some may be seen twice. */
enum status scan_list(const struct scan *s);

/* Dead letters of every state, by id. */
enum status scan_dead(const struct scan *s);

/* Rows of sequences from `first` to `last`, in this order. */
enum status scan_rows(const struct scan *s, int64_t first, int64_t last);

#endif
