/*
 * Order numbers, as MySQL hands them out. The numbers of a segment run on from
 * a base without a gap, for as long as its server loses nothing. Whenever it
 * may have lost something the segment gets a new base, so that no number is
 * given twice, whatever was lost. A segment's bases only rise, and so do the
 * terms of a coupon's hub.
 *
 * The numbers above one base, up to those that were given out, are a range.
 * All of this blocks.
 */
#ifndef SALE_NUMBERS_H
#define SALE_NUMBERS_H

#include "base/arena.h"
#include "mysql/db.h"
#include "sale/service.h"
#include "sale/status.h"

/* Bases are multiples of it. */
#define NUMBERS_RANGE ((int64_t)1 << 20)

/* The base above which a number was given out, unless its range has grown beyond the next multiple. */
static inline int64_t numbers_base(int64_t number)
{
	return (number - 1) / NUMBERS_RANGE * NUMBERS_RANGE;
}

/* How far a segment's list is in MySQL. */
struct cursor {
	int64_t base; /* the highest that was handed out */
	int64_t next; /* above this base, the lowest number that is neither an order's nor a dead letter's */
};

/* The columns of a cursor, and their reading: not 0 when a row has other ones, and the database has failed then. */
#define CURSOR_COLUMNS "segment, base, next_number"
int cursor_row(struct db *db, const struct db_value *row, int64_t *segment, struct cursor *cursor) MUST_CHECK;

/* Of all segments of a coupon; where there is none yet it is { 0, 1 }. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status cursors_read(struct service *svc, struct arena *a, int64_t coupon, int segments, struct cursor *cursors);

/* Numbers above a base, up to those that were given out. */
struct range {
	int64_t base, count;
};

/* What a coupon needs, and what it gets. */
struct numbering {
	int64_t coupon;
	int segments;
	bool hub;                  /* the hub begins a new term, above this one */
	int64_t term;              /* in: the hub's own; out: the new one */
	const struct cursor *seen; /* of each segment, as they were when this began; NULL: whatever they are by now */
	bool *wanted;              /* of each segment: it gets a new base */
	int64_t *above;            /* of each segment: its new base is above this one, too */
	struct range *known;       /* of each segment: numbers that it knows to be given out above its own base */
	struct cursor *before;     /* out, of each wanted segment: as they were */
	int64_t *bases;            /* out, of each wanted segment */
};

/*
 * One transaction. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL; STATUS_BUSY: somebody else was given a base since
 * the cursors were seen, and nothing was done.
 */
enum status numbers_hand_out(struct service *svc, struct arena *a, struct numbering *n);

/* The same statements, inside a transaction of the caller's. 0; -1: the database has failed. */
int numbers_hand_out_within(struct service *svc, struct arena *a, struct numbering *n) MUST_CHECK;

/*
 * A number of an earlier base was found to have been given out: its range reaches to it from now on. Safe to repeat. 0;
 * -1: the database has failed.
 */
int numbers_found(struct service *svc, int64_t coupon, int segment, int64_t base, int64_t number) MUST_CHECK;

/* The ranges of a segment, by their bases. */
struct ranges {
	struct range *at;
	int64_t *before; /* of each: the numbers of those before it */
	int count;
};

/*
 * Those of earlier bases, as far as MySQL knows them, and the one of the present base, which grows: of that the count
 * is what the cursor has passed. In the arena. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status ranges_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct ranges *r);

/* The range with this base has so many numbers, whether it was known or not. Only in memory. */
void ranges_put(struct arena *a, struct ranges *r, struct range range);

/*
 * The range of a number, which may not reach to it yet; or of a base that MySQL does not know, because nobody had any
 * of its numbers: its count is 0.
 */
struct range ranges_of(const struct ranges *r, int64_t number);

/* All numbers of all ranges stand behind each other: their places are 0 to ranges_total - 1. -1: it is in none. */
int64_t ranges_total(const struct ranges *r);
int64_t ranges_place(const struct ranges *r, int64_t number);
int64_t ranges_number(const struct ranges *r, int64_t place);

#endif
