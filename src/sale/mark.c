#include "sale/mark.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "sale/coupon.h"
#include "sale/lost.h"
#include "sale/numbers.h"

enum {
	BATCH = 256,
	ROUND_MS = 60000, /* between the beginnings of two rounds through all marks */
	STEP_MS = 50,     /* between two batches */
	OVER_MS = 600000, /* a sale is over when it ended so long ago: this host's clock need not be Redis's */
	CROWDED = MARKS_MAX / 4 * 3,
	FULL = MARKS_MAX / 8 * 7,
};

/* An id has 48 bits, or was counted: a segment's number fits behind it. */
static uint64_t key_of(int64_t coupon, int segment)
{
	return (uint64_t)coupon * SEGMENTS_MAX + (uint64_t)segment;
}

/* Of an earlier base; a multiple of NUMBERS_RANGE shares its key with others that are far away. */
static uint64_t key_of_earlier(int64_t coupon, int segment, int64_t base)
{
	return key_of(coupon, segment) | (uint64_t)(base / NUMBERS_RANGE % 255 + 1) << 56;
}

static bool is_of_earlier(uint64_t key)
{
	return key >> 56;
}

int64_t mark_read(const struct service *svc, int64_t coupon, int segment)
{
	return marks_read(svc->marks, key_of(coupon, segment));
}

static int64_t if_above(int64_t number, int64_t base)
{
	return number && numbers_base(number) == base ? number : 0;
}

int64_t mark_read_above(const struct service *svc, int64_t coupon, int segment, int64_t base)
{
	int64_t number = if_above(mark_read(svc, coupon, segment), base);
	return number ? number : if_above(marks_read(svc->marks, key_of_earlier(coupon, segment, base)), base);
}

int64_t mark_raise(struct service *svc, int64_t coupon, int segment, int64_t number)
{
	int64_t before;
	bool kept = marks_replace(svc->marks, key_of(coupon, segment), number, &before);
	int64_t lower = before < number ? before : number;
	if (!lower || numbers_base(before) == numbers_base(number))
		lower = 0;
	else
		kept &= marks_raise(svc->marks, key_of_earlier(coupon, segment, numbers_base(lower)), lower);
	if (kept)
		return lower;
	board_add(svc->board, COUNT_marks_refused_total, 1);
	log_warn_limited("marks_full", LOG_INT("coupon", coupon), LOG_INT("segment", segment));
	return lower;
}

void mark_drop(struct service *svc, int64_t coupon, int segment, int64_t number)
{
	marks_drop(svc->marks, key_of(coupon, segment), number);
}

const char *mark_trouble(const struct service *svc, struct arena *a)
{
	int taken = marks_count(svc->marks);
	return taken < FULL ? NULL
			    : arena_printf(a,
					   "%d of %d places are taken: orders that Redis loses may go unnoticed in "
					   "segments without one",
					   taken, MARKS_MAX);
}

/* Giving back */

struct mark_sweep {
	struct service *svc;
	size_t at; /* in the table */
	int64_t next_round_ms, next_step_ms;
	bool crowded;
};

struct seen {
	uint64_t key;
	int64_t coupon, segment, number;
	bool is_known; /* to MySQL */
};

struct mark_sweep *mark_sweep_new(struct service *svc)
{
	struct mark_sweep *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	s->svc = svc;
	s->at = MARKS_MAX;
	return s;
}

void mark_sweep_free(struct mark_sweep *s)
{
	free(s);
}

static int next_batch(struct mark_sweep *s, struct seen *seen)
{
	uint64_t key;
	int64_t number;
	int n = 0;
	while (n < BATCH && marks_next(s->svc->marks, &s->at, &key, &number))
		seen[n++] = (struct seen){ .key = key,
					   .coupon = (int64_t)((key << 8 >> 8) / SEGMENTS_MAX),
					   .segment = (int64_t)(key % SEGMENTS_MAX),
					   .number = number };
	return n;
}

static const char *question(struct arena *a)
{
	struct buf sql;
	buf_init(&sql, a);
	buf_puts(&sql, "SELECT coupon_id, segment, next_number, sold + withdrawn >= amount OR "
		       "(ends_at_ms > 0 AND ends_at_ms < ?) FROM drain_cursors JOIN coupons ON id = coupon_id "
		       "WHERE (coupon_id, segment) IN ((?, ?)");
	for (int i = 1; i < BATCH; i++)
		buf_puts(&sql, ", (?, ?)");
	buf_puts(&sql, ")");
	return sql.p;
}

static int ask(struct mark_sweep *s, struct arena *a, const struct seen *seen, int n, struct db_rows *rows)
{
	struct db_value values[1 + 2 * BATCH] = { DB_N(clock_ms() - OVER_MS) };
	for (int i = 0; i < BATCH; i++) { /* repeats fill up: one statement to prepare */
		const struct seen *one = &seen[i < n ? i : 0];
		values[1 + 2 * i] = DB_N(one->coupon);
		values[2 + 2 * i] = DB_N(one->segment);
	}
	return db_run(s->svc->db, a, question(a), values, 1 + 2 * BATCH, rows, NULL);
}

/* Of an earlier base: those up to it are found, or named as lost. */
static bool is_looked_at(struct mark_sweep *s, struct arena *a, const struct seen *one)
{
	return lost_told(s->svc, a, one->coupon, (int)one->segment, one->number) == STATUS_OK;
}

/* What is kept of an earlier base is only kept until then; else a place is given back when nobody needs it. */
static bool is_done(struct mark_sweep *s, struct arena *a, const struct seen *one, int64_t next, bool over)
{
	if (!over && !s->crowded && !is_of_earlier(one->key))
		return false;
	return numbers_base(one->number) == numbers_base(next) || is_looked_at(s, a, one);
}

static void take_cursor(struct mark_sweep *s, struct arena *a, struct seen *seen, int n, const struct db_value *row)
{
	for (int i = 0; i < n; i++) {
		const struct seen *one = &seen[i];
		if (one->coupon != row[0].number || one->segment != row[1].number)
			continue;
		seen[i].is_known = true;
		if (is_done(s, a, one, row[2].number, row[3].number))
			marks_drop(s->svc->marks, one->key, row[2].number - 1);
	}
}

/* What MySQL does not know, because it was set back or emptied, nobody inspects. */
static void drop_unknown(struct mark_sweep *s, const struct seen *seen, int n)
{
	for (int i = 0; s->crowded && i < n; i++)
		if (!seen[i].is_known)
			marks_drop(s->svc->marks, seen[i].key, seen[i].number);
}

static void sweep(struct mark_sweep *s)
{
	struct arena a;
	struct seen seen[BATCH];
	struct db_rows rows;
	int n = next_batch(s, seen);
	arena_init(&a);
	if (n && ask(s, &a, seen, n, &rows)) {
		s->at = MARKS_MAX; /* the next round may find MySQL */
	} else if (n) {
		for (int i = 0; i < rows.count; i++)
			take_cursor(s, &a, seen, n, db_row(&rows, i));
		drop_unknown(s, seen, n);
	}
	arena_release(&a);
}

bool mark_sweep_step(struct mark_sweep *s)
{
	int64_t now = clock_mono_ms();
	if (s->at == MARKS_MAX && now >= s->next_round_ms) {
		s->crowded = marks_count(s->svc->marks) > CROWDED;
		s->at = 0;
		s->next_round_ms = now + ROUND_MS;
	}
	if (s->at < MARKS_MAX && (s->crowded || now >= s->next_step_ms)) {
		sweep(s);
		s->next_step_ms = clock_mono_ms() + STEP_MS;
	}
	return s->crowded && s->at < MARKS_MAX;
}
