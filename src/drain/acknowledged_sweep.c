#include "drain/acknowledged_sweep.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "order/lost.h"
#include "sale/numbers.h"
#include "stock/acknowledged.h"

enum {
	BATCH = 256,      /* entries looked at in one step */
	ROUND_MS = 60000, /* from the beginning of a round through the table to that of the next round */
	STEP_MS = 50,     /* between two steps */
	OVER_MS = 600000, /* after the end of a sale, because this host's clock may differ from the sale clock */
	CROWDED = HIGH_WATER_MAX / 4 * 3, /* with more entries than these, few are free */
};

struct acknowledged_sweep {
	struct service *svc;
	size_t at; /* the next entry of the round; HIGH_WATER_MAX: the round is over */
	int64_t next_round_ms, next_step_ms;
	bool crowded;
};

struct seen {
	struct acknowledged at;
	bool is_known; /* MySQL has the cursor of its segment */
};

struct acknowledged_sweep *acknowledged_sweep_new(struct service *svc)
{
	struct acknowledged_sweep *s = alloc_zeroed(1, sizeof *s);
	s->svc = svc;
	s->at = HIGH_WATER_MAX;
	return s;
}

void acknowledged_sweep_free(struct acknowledged_sweep *s)
{
	free(s);
}

static int next_batch(struct acknowledged_sweep *s, struct seen *seen)
{
	int n = 0;
	while (n < BATCH && acknowledged_next(s->svc, &s->at, &seen[n].at))
		seen[n++].is_known = false;
	return n;
}

static const char *cursors_query(struct arena *a)
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

static int read_cursors(struct acknowledged_sweep *s, struct arena *a, const struct seen *seen, int n,
			struct db_rows *rows)
{
	struct db_value values[1 + 2 * BATCH] = { DB_N(clock_ms() - OVER_MS) };
	for (int i = 0; i < BATCH; i++) { /* padded with repeats, so that one statement is prepared */
		const struct acknowledged *one = &seen[i < n ? i : 0].at;
		values[1 + 2 * i] = DB_N(one->coupon);
		values[2 + 2 * i] = DB_N(one->segment);
	}
	return db_query_params(s->svc->db, a, cursors_query(a), rows, values, 1 + 2 * BATCH);
}

/* The number is of an earlier base. True: every order up to it was found, or is named as lost. */
static bool look_for(struct acknowledged_sweep *s, struct arena *a, const struct acknowledged *one)
{
	return lost_acknowledged(s->svc, a, one->coupon, one->segment, one->number) == STATUS_OK;
}

/*
 * True: the entry may be freed. An entry of an earlier base is kept until its orders were looked for; any other is kept
 * while its sale goes on, unless few entries are free.
 */
static bool settle_entry(struct acknowledged_sweep *s, struct arena *a, const struct acknowledged *one, int64_t next,
			 bool over)
{
	if (!over && !s->crowded && !one->is_earlier)
		return false;
	return numbers_base(one->number) == numbers_base(next) || look_for(s, a, one);
}

static void take_cursor(struct acknowledged_sweep *s, struct arena *a, struct seen *seen, int n,
			const struct db_value *row)
{
	for (int i = 0; i < n; i++) {
		const struct acknowledged *one = &seen[i].at;
		if (one->coupon != row[0].number || one->segment != row[1].number)
			continue;
		seen[i].is_known = true;
		if (settle_entry(s, a, one, row[2].number, row[3].number))
			acknowledged_drop_one(s->svc, one, row[2].number - 1);
	}
}

/* Frees entries of coupons that MySQL does not have, because no inspection needs their numbers. */
static void drop_unknown(struct acknowledged_sweep *s, const struct seen *seen, int n)
{
	for (int i = 0; s->crowded && i < n; i++)
		if (!seen[i].is_known)
			acknowledged_drop_one(s->svc, &seen[i].at, seen[i].at.number);
}

static void sweep(struct acknowledged_sweep *s)
{
	struct arena a;
	struct seen seen[BATCH];
	struct db_rows rows;
	int n = next_batch(s, seen);
	arena_init(&a);
	if (n && read_cursors(s, &a, seen, n, &rows)) {
		s->at = HIGH_WATER_MAX; /* MySQL does not answer: the round ends here */
	} else if (n) {
		for (int i = 0; i < rows.count; i++)
			take_cursor(s, &a, seen, n, db_row(&rows, i));
		drop_unknown(s, seen, n);
	}
	arena_release(&a);
}

bool acknowledged_sweep_step(struct acknowledged_sweep *s)
{
	int64_t now = clock_mono_ms();
	if (s->at == HIGH_WATER_MAX && now >= s->next_round_ms) {
		s->crowded = high_water_count(s->svc->high_water) > CROWDED;
		s->at = 0;
		s->next_round_ms = now + ROUND_MS;
	}
	if (s->at < HIGH_WATER_MAX && (s->crowded || now >= s->next_step_ms)) {
		sweep(s);
		s->next_step_ms = clock_mono_ms() + STEP_MS;
	}
	return s->crowded && s->at < HIGH_WATER_MAX;
}
