#include "sale/numbers.h"

#include "base/buf.h"
#include "sale/db_status.h"

static int64_t higher(int64_t one, int64_t other)
{
	return one > other ? one : other;
}

/* Rows of four columns, GROUP of them in a statement. */
enum { GROUP = 64, COLUMNS = 4 };
#define ROW "(?, ?, ?, ?)"

struct rows {
	const char *head, *tail;
	struct db_value values[GROUP * COLUMNS];
	int count;
};

/* Repeats the last row up to a power of two, so that there are few statements to prepare. */
static int repeat_last_row(struct rows *r)
{
	int size = 1;
	while (size < r->count)
		size *= 2;
	for (int i = r->count; i < size; i++)
		memcpy(r->values + (ptrdiff_t)i * COLUMNS, r->values + (ptrdiff_t)(i - 1) * COLUMNS,
		       COLUMNS * sizeof *r->values);
	return size;
}

static int write_rows(struct service *svc, struct arena *a, struct rows *r)
{
	struct buf sql;
	if (!r->count)
		return 0;
	int size = repeat_last_row(r);
	buf_init(&sql, a);
	buf_puts(&sql, r->head);
	for (int i = 0; i < size; i++)
		buf_puts(&sql, i ? ", " ROW : " " ROW);
	buf_puts(&sql, r->tail);
	r->count = 0;
	return db_exec_params(svc->db, sql.p, NULL, r->values, size * COLUMNS);
}

static int put_row(struct service *svc, struct arena *a, struct rows *r, const struct db_value values[COLUMNS])
{
	memcpy(r->values + (ptrdiff_t)r->count * COLUMNS, values, COLUMNS * sizeof *values);
	return ++r->count == GROUP ? write_rows(svc, a, r) : 0;
}

#define INSERT_RANGES "INSERT INTO number_ranges (coupon_id, segment, base, count) VALUES"
#define RAISE_COUNT   " ON DUPLICATE KEY UPDATE count = GREATEST(count, VALUES(count))"

static int put_range(struct service *svc, struct arena *a, struct rows *r, const struct numbering *n, int segment,
		     struct range range)
{
	const struct db_value values[] = { DB_N(n->coupon), DB_N(segment), DB_N(range.base), DB_N(range.count) };
	return put_row(svc, a, r, values);
}

/* The ranges of the former bases, as the cursors and the segments know them, except those without numbers. */
static int write_ranges(struct service *svc, struct arena *a, const struct numbering *n)
{
	struct rows r = { .head = INSERT_RANGES, .tail = RAISE_COUNT };
	for (int i = 0; i < n->segments; i++) {
		const struct cursor *c = &n->before[i];
		const struct range ends[] = { { c->base, c->next - 1 - c->base }, n->known[i] };
		for (int k = 0; k < 2 && n->wanted[i]; k++)
			if (ends[k].count > 0 && put_range(svc, a, &r, n, i, ends[k]))
				return -1;
	}
	return write_rows(svc, a, &r);
}

int numbers_extend_range(struct service *svc, int64_t coupon, int segment, int64_t base, int64_t number)
{
	return db_exec(svc->db, INSERT_RANGES " " ROW RAISE_COUNT, NULL, DB_N(coupon), DB_N(segment), DB_N(base),
		       DB_N(number - base));
}

static int write_cursors(struct service *svc, struct arena *a, const struct numbering *n)
{
	struct rows r = { .head = "INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES",
			  .tail = " ON DUPLICATE KEY UPDATE base = VALUES(base), next_number = VALUES(next_number)" };
	for (int i = 0; i < n->segments; i++) {
		const struct db_value values[] = { DB_N(n->coupon), DB_N(i), DB_N(n->bases[i]), DB_N(n->bases[i] + 1) };
		if (n->wanted[i] && put_row(svc, a, &r, values))
			return -1;
	}
	return write_rows(svc, a, &r);
}

static int next_term(struct service *svc, struct arena *a, struct numbering *n)
{
	struct db_rows rows;
	if (!n->hub)
		return 0;
	if (db_exec(svc->db, "UPDATE coupons SET hub_term = GREATEST(hub_term, ?) + 1 WHERE id = ?", NULL,
		    DB_N(n->term), DB_N(n->coupon)) ||
	    db_query_row(svc->db, a, "SELECT hub_term FROM coupons WHERE id = ?", &rows, DB_N(n->coupon)))
		return -1;
	n->term = db_row(&rows, 0)->number;
	return 0;
}

int numbers_hand_out_within(struct service *svc, struct arena *a, struct numbering *n)
{
	if (cursors_lock(svc, a, n->coupon, n->segments, n->before))
		return -1;
	for (int i = 0; i < n->segments; i++) {
		int64_t highest = higher(higher(n->before[i].base, n->before[i].next - 1), n->above[i]);
		n->bases[i] = (highest / NUMBERS_RANGE + 1) * NUMBERS_RANGE;
	}
	return write_ranges(svc, a, n) || write_cursors(svc, a, n) || next_term(svc, a, n) ? -1 : 0;
}

static bool is_as_seen(const struct numbering *n)
{
	bool same = true;
	for (int i = 0; i < n->segments && n->seen; i++)
		same &= !n->wanted[i] || n->before[i].base == n->seen[i].base;
	return same;
}

enum status numbers_hand_out(struct service *svc, struct arena *a, struct numbering *n)
{
	bool is_done = db_begin(svc->db) == 0 && numbers_hand_out_within(svc, a, n) == 0;
	if (is_done && is_as_seen(n) && db_commit(svc->db) == 0)
		return STATUS_OK;
	enum status s = is_done && !is_as_seen(n) ? STATUS_BUSY : db_status(svc->db, "numbers");
	db_rollback(svc->db);
	return s;
}
