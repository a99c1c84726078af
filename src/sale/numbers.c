#include "sale/numbers.h"

#include "base/buf.h"
#include "base/parse.h"
#include "sale/coupon.h"
#include "sale/db_status.h"

int cursor_row(struct db *db, const struct db_value *row, int64_t *segment, struct cursor *cursor)
{
	return db_int(db, &row[0], 0, INT32_MAX, segment) || db_int(db, &row[1], 0, NUMBER_MAX, &cursor->base) ||
	       db_int(db, &row[2], 1, NUMBER_MAX, &cursor->next);
}

static int take_cursors(struct db *db, const struct db_rows *rows, int segments, struct cursor *cursors)
{
	for (int i = 0; i < segments; i++)
		cursors[i] = (struct cursor){ 0, 1 };
	for (int i = 0; i < rows->count; i++) {
		int64_t segment;
		struct cursor one;
		if (cursor_row(db, db_row(rows, i), &segment, &one))
			return -1;
		if (segment < segments)
			cursors[segment] = one;
	}
	return 0;
}

enum status cursors_read(struct service *svc, struct arena *a, int64_t coupon, int segments, struct cursor *cursors)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT " CURSOR_COLUMNS " FROM drain_cursors WHERE coupon_id = ?", &rows,
		     DB_N(coupon)) ||
	    take_cursors(svc->db, &rows, segments, cursors))
		return db_status(svc->db, "cursors");
	return STATUS_OK;
}

/* Handing out */

static int64_t higher(int64_t one, int64_t other)
{
	return one > other ? one : other;
}

static int lock(struct service *svc, struct arena *a, struct numbering *n)
{
	struct db_rows rows;
	return db_query(svc->db, a,
			"SELECT " CURSOR_COLUMNS " FROM drain_cursors WHERE coupon_id = ? ORDER BY segment FOR UPDATE",
			&rows, DB_N(n->coupon)) ||
			       take_cursors(svc->db, &rows, n->segments, n->before)
		       ? -1
		       : 0;
}

/* Rows of a statement are written so many at a time. */
enum { GROUP = 64 };

struct rows {
	const char *head, *row, *tail;
	struct db_value values[GROUP * 4];
	int columns, count;
};

static int write_rows(struct service *svc, struct arena *a, struct rows *r)
{
	struct buf sql;
	if (!r->count)
		return 0;
	buf_init(&sql, a);
	buf_puts(&sql, r->head);
	int size = 1;
	while (size < r->count)
		size *= 2;
	for (int i = r->count; i < size; i++) /* repeats fill up to a power of two: few statements to prepare */
		memcpy(r->values + (ptrdiff_t)i * r->columns, r->values + (ptrdiff_t)(i - 1) * r->columns,
		       (size_t)r->columns * sizeof *r->values);
	for (int i = 0; i < size; i++) {
		buf_puts(&sql, i ? ", " : " ");
		buf_puts(&sql, r->row);
	}
	buf_puts(&sql, r->tail);
	int result = db_run(svc->db, NULL, sql.p, r->values, size * r->columns, NULL, NULL);
	r->count = 0;
	return result;
}

static int put_row(struct service *svc, struct arena *a, struct rows *r, const struct db_value *values)
{
	for (int i = 0; i < r->columns; i++)
		r->values[r->count * r->columns + i] = values[i];
	return ++r->count == GROUP ? write_rows(svc, a, r) : 0;
}

static int put_range(struct service *svc, struct arena *a, struct rows *r, const struct numbering *n, int segment,
		     struct range range)
{
	const struct db_value values[] = { DB_N(n->coupon), DB_N(segment), DB_N(range.base), DB_N(range.count) };
	return put_row(svc, a, r, values);
}

static const char range_head[] = "INSERT INTO number_ranges (coupon_id, segment, base, count) VALUES";
static const char range_tail[] = " ON DUPLICATE KEY UPDATE count = GREATEST(count, VALUES(count))";

/* The range that ends, as far as it is known here and in the segment. Nobody needs one without numbers. */
static int write_ranges(struct service *svc, struct arena *a, const struct numbering *n)
{
	struct rows r = { range_head, "(?, ?, ?, ?)", range_tail, .columns = 4 };
	for (int i = 0; i < n->segments; i++) {
		const struct cursor *c = &n->before[i];
		const struct range ends[] = { { c->base, c->next - 1 - c->base }, n->known[i] };
		for (int k = 0; k < 2 && n->wanted[i]; k++)
			if (ends[k].count > 0 && put_range(svc, a, &r, n, i, ends[k]))
				return -1;
	}
	return write_rows(svc, a, &r);
}

int numbers_found(struct service *svc, int64_t coupon, int segment, int64_t base, int64_t number)
{
	return db_exec(svc->db,
		       "INSERT INTO number_ranges (coupon_id, segment, base, count) VALUES (?, ?, ?, ?) "
		       "ON DUPLICATE KEY UPDATE count = GREATEST(count, VALUES(count))",
		       NULL, DB_N(coupon), DB_N(segment), DB_N(base), DB_N(number - base));
}

static int write_cursors(struct service *svc, struct arena *a, const struct numbering *n)
{
	struct rows r = { "INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES", "(?, ?, ?, ?)",
			  " ON DUPLICATE KEY UPDATE base = VALUES(base), next_number = VALUES(next_number)",
			  .columns = 4 };
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
	if (lock(svc, a, n))
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
	bool given = db_begin(svc->db) == 0 && numbers_hand_out_within(svc, a, n) == 0;
	if (given && is_as_seen(n) && db_commit(svc->db) == 0)
		return STATUS_OK;
	enum status s = given && !is_as_seen(n) ? STATUS_BUSY : db_status(svc->db, "numbers");
	db_rollback(svc->db);
	return s;
}

/* Ranges */

static void count_before(struct ranges *r)
{
	int64_t before = 0;
	for (int i = 0; i < r->count; i++) {
		r->before[i] = before;
		before += r->at[i].count;
	}
}

static void allocate_ranges(struct arena *a, struct ranges *r, int count)
{
	*r = (struct ranges){ .at = arena_alloc(a, (size_t)count * sizeof *r->at),
			      .before = arena_alloc(a, (size_t)count * sizeof *r->before),
			      .count = count };
}

static int read_ranges(struct service *svc, struct arena *a, int64_t coupon, int segment, struct ranges *r)
{
	struct db_rows rows;
	struct db_value cursor[2] = { DB_N(0), DB_N(1) };
	if (db_query(svc->db, a, "SELECT base, next_number FROM drain_cursors WHERE coupon_id = ? AND segment = ?",
		     &rows, DB_N(coupon), DB_N(segment)))
		return -1;
	if (rows.count)
		memcpy(cursor, db_row(&rows, 0), sizeof cursor);
	if (db_query(
		    svc->db, a,
		    "SELECT base, count FROM number_ranges WHERE coupon_id = ? AND segment = ? AND base < ? ORDER BY base",
		    &rows, DB_N(coupon), DB_N(segment), cursor[0]))
		return -1;
	allocate_ranges(a, r, rows.count + 1);
	for (int i = 0; i < rows.count; i++)
		if (db_int(svc->db, &db_row(&rows, i)[0], 0, NUMBER_MAX, &r->at[i].base) ||
		    db_int(svc->db, &db_row(&rows, i)[1], 0, NUMBER_MAX, &r->at[i].count))
			return -1;
	struct range *last = &r->at[rows.count];
	if (db_int(svc->db, &cursor[0], 0, NUMBER_MAX, &last->base) ||
	    db_int(svc->db, &cursor[1], 1, NUMBER_MAX, &last->count))
		return -1;
	last->count -= last->base + 1;
	count_before(r);
	return 0;
}

enum status ranges_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct ranges *r)
{
	return read_ranges(svc, a, coupon, segment, r) ? db_status(svc->db, "ranges") : STATUS_OK;
}

/* Of the last range whose base is below the number: its place; -1: there is none. */
static int range_of(const struct ranges *r, int64_t number)
{
	int low = 0, high = r->count;
	while (low < high) {
		int middle = (low + high) / 2;
		if (r->at[middle].base < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

struct range ranges_of(const struct ranges *r, int64_t number)
{
	int i = range_of(r, number);
	int64_t base = numbers_base(number);
	return i >= 0 && base <= r->at[i].base + r->at[i].count ? r->at[i] : (struct range){ base, 0 };
}

void ranges_put(struct arena *a, struct ranges *r, struct range range)
{
	struct ranges old = *r;
	int place = range_of(r, range.base) + 1;
	if (place == old.count || old.at[place].base != range.base) {
		allocate_ranges(a, r, old.count + 1);
		memcpy(r->at, old.at, (size_t)place * sizeof *r->at);
		memcpy(r->at + place + 1, old.at + place, (size_t)(old.count - place) * sizeof *r->at);
	}
	r->at[place] = range;
	count_before(r);
}

int64_t ranges_total(const struct ranges *r)
{
	return r->before[r->count - 1] + r->at[r->count - 1].count;
}

int64_t ranges_place(const struct ranges *r, int64_t number)
{
	int i = range_of(r, number);
	return i >= 0 && number <= r->at[i].base + r->at[i].count ? r->before[i] + number - r->at[i].base - 1 : -1;
}

int64_t ranges_number(const struct ranges *r, int64_t place)
{
	int low = 0, high = r->count; /* the first range that ends behind the place */
	while (low < high) {
		int middle = (low + high) / 2;
		if (r->before[middle] + r->at[middle].count <= place)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->count ? r->at[low].base + 1 + place - r->before[low] : 0;
}
