/*
 * Bases and terms, as MySQL hands them out. The numbers of a segment continue from its base without a gap for as long
 * as its server loses nothing. Whenever that server may have lost numbers, the segment gets a higher base, so that no
 * number is given out twice. A hub whose server may have lost writes gets a higher term.
 */
#ifndef SALE_NUMBERS_H
#define SALE_NUMBERS_H

#include "sale/cursors.h"
#include "sale/ranges.h"

/* What a coupon needs, and, as marked by "out", what it is given. */
struct numbering {
	int64_t coupon;
	int segments;
	bool hub;                  /* the hub needs a new term */
	int64_t term;              /* in: the hub's present term; out: the new one, which is higher */
	const struct cursor *seen; /* of each segment, as the caller read them; NULL: they may have changed since */
	bool *wanted;              /* of each segment: it needs a new base */
	int64_t *above;            /* of each segment: a number that the new base must exceed, too */
	struct range *known;       /* of each segment: the numbers given out above the base that it has in Redis */
	struct cursor *before;     /* out, of each segment: the cursor before this call */
	int64_t *bases;            /* out, of each wanted segment */
};

/*
 * Hands out in a transaction of its own. Blocks. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL; STATUS_BUSY: another
 * process was given a base since the cursors were seen, and nothing was done.
 */
enum status numbers_hand_out(struct service *svc, struct arena *a, struct numbering *n);

/* The same statements within a transaction of the caller. Blocks. 0, or -1: the database has failed. */
int numbers_hand_out_within(struct service *svc, struct arena *a, struct numbering *n) MUST_CHECK;

/*
 * Extends the range of an earlier base to a number that turns out to have been given out. Safe to repeat. Blocks. 0, or
 * -1: the database has failed.
 */
int numbers_extend_range(struct service *svc, int64_t coupon, int segment, int64_t base, int64_t number) MUST_CHECK;

#endif
