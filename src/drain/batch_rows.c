/*
 * Numbers that are the next ones behind a segment's cursor are new, and the
 * cursor moves with them: MySQL need not be asked. Below it are numbers that
 * were committed before, and numbers of earlier incarnations: these are new,
 * too, when they have neither a row nor a dead letter, because a list outlives
 * its incarnation, and a replica may bring one back that others had lost.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "drain/batch_part.h"
#include "host/fault.h"
#include "host/log.h"
#include "order/dead_letter.h"
#include "sale/coupon.h"
#include "sale/numbers.h"

/* The cursors */

int rows_check_known(struct batch *b)
{
	struct db_rows rows;
	if (b->known)
		return 0;
	if (db_query(b->svc->db, b->arena, "SELECT 1 FROM coupons WHERE id = ?", &rows, DB_N(b->coupon)))
		return -1;
	b->known = rows.count > 0;
	b->stray = !b->known;
	return b->known ? 0 : -1;
}

/* Its key tells when another drainer makes it too. */
static int make_cursor(struct batch *b, int segment)
{
	b->segment[segment].next = 1;
	int result = db_exec(b->svc->db,
			     "INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES (?, ?, 0, 1)",
			     NULL, DB_N(b->coupon), DB_N(segment));
	b->raced = result && db_failure(b->svc->db) == DB_DUPLICATE;
	return result;
}

/* A list that was read in another incarnation than the cursor's waits. A cursor that is missing is of base 0. */
static int take_cursor(struct batch *b, int i)
{
	struct segment_batch *s = &b->segment[i];
	if (!s->waits)
		return 0;
	if (!s->next && rows_check_known(b))
		return -1;
	s->skip = s->base != s->cursor_base;
	b->replaced |= s->skip;
	int result = s->next || s->skip ? 0 : make_cursor(b, i);
	s->cursor = s->next;
	return result;
}

static int lock_cursors(struct batch *b)
{
	struct db_rows rows;
	if (db_query(b->svc->db, b->arena,
		     "SELECT " CURSOR_COLUMNS " FROM drain_cursors WHERE coupon_id = ? ORDER BY segment FOR UPDATE",
		     &rows, DB_N(b->coupon)))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		int64_t segment;
		struct cursor cursor;
		if (cursor_row(b->svc->db, db_row(&rows, i), &segment, &cursor))
			return -1;
		if (segment < b->segments) {
			b->segment[segment].cursor_base = cursor.base;
			b->segment[segment].next = cursor.next;
		}
	}
	for (int i = 0; i < b->segments; i++)
		if (take_cursor(b, i))
			return -1;
	FAULT(drain_locked);
	return 0;
}

int rows_begin(struct batch *b)
{
	for (int i = 0; i < b->segments; i++) {
		struct segment_batch *s = &b->segment[i];
		s->skip = false;
		s->last = NULL;
		s->known = NULL;
		s->ranges = NULL;
		s->cursor_base = s->cursor = s->next = 0;
	}
	b->raced = b->oversold = false;
	return db_begin(b->svc->db) || lock_cursors(b) ? -1 : 0;
}

int rows_move_cursors(struct batch *b)
{
	struct buf sql;
	int n = 0, params = 0, moved[SEGMENTS_MAX];
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].last && b->segment[i].next != b->segment[i].cursor)
			moved[n++] = i;
	if (!n)
		return 0;
	struct db_value *v = arena_alloc(b->arena, (size_t)(4 * SEGMENTS_MAX + 1) * sizeof *v);
	int size = 1;
	while (size < n)
		size *= 2;
	while (n < size) { /* repeats fill up to a power of two: few statements to prepare */
		moved[n] = moved[n - 1];
		n++;
	}
	buf_init(&sql, b->arena);
	buf_puts(&sql, "UPDATE drain_cursors SET next_number = CASE segment");
	for (int i = 0; i < n; i++) {
		buf_puts(&sql, " WHEN ? THEN ?");
		v[params++] = DB_N(moved[i]);
		v[params++] = DB_N(b->segment[moved[i]].next);
	}
	buf_puts(&sql, " END WHERE coupon_id = ? AND segment IN (");
	v[params++] = DB_N(b->coupon);
	for (int i = 0; i < n; i++) {
		buf_puts(&sql, i ? ", ?" : "?");
		v[params++] = DB_N(moved[i]);
	}
	buf_puts(&sql, ")");
	if (db_run(b->svc->db, NULL, sql.p, v, params, NULL, NULL))
		return -1;
	FAULT(drain_moved);
	return 0;
}

/* Deciding */

/* What MySQL has of a segment's records below its cursor, from this one on: they come before all others. */
static int read_known(struct batch *b, struct segment_batch *s, const struct order_record *r)
{
	const struct order_record *end = b->records + b->count;
	s->known = arena_alloc(b->arena, (size_t)(end - r) * sizeof *s->known);
	s->known_count = 0;
	for (const struct order_record *one = r; one < end && one->segment == r->segment && one->sequence < s->next;
	     one++)
		s->known[s->known_count++].number = one->sequence;
	return known_read(b->svc, b->arena, b->coupon, r->segment, s->known, s->known_count);
}

static const struct known *known_of(const struct segment_batch *s, const struct order_record *r)
{
	const struct known *k = s->known;
	while (k->number != r->sequence)
		k++;
	return k;
}

/* The order that MySQL has under this number must be this one; another means that a number was given twice. */
static void stop_at_reused(struct batch *b, struct segment_batch *s, const struct order_record *r)
{
	log_error_limited("drain_sequence_reused", LOG_INT("coupon", b->coupon), LOG_INT("segment", r->segment),
			  LOG_INT("sequence", r->sequence), LOG_INT("user", r->user));
	s->skip = true;
}

static int decide_below(struct batch *b, struct segment_batch *s, const struct order_record *r, enum fate *fate,
			int64_t *letter)
{
	if (!s->known && read_known(b, s, r))
		return -1;
	const struct known *k = known_of(s, r);
	*letter = k->letter;
	if (k->user && r->user && k->user != r->user)
		stop_at_reused(b, s, r);
	else if (!k->user && !k->letter)
		*fate = r->user ? FATE_ORDER : FATE_NAME;
	else if (!k->user && k->may_revive && r->user)
		*fate = FATE_REVIVE;
	return 0;
}

static void decide_above(struct batch *b, struct segment_batch *s, const struct order_record *r, enum fate *fate)
{
	if (r->sequence > s->next) {
		log_error_limited("drain_gap", LOG_INT("coupon", b->coupon), LOG_INT("segment", r->segment),
				  LOG_INT("expected", s->next), LOG_INT("found", r->sequence));
		s->skip = true;
		return;
	}
	s->next++;
	*fate = r->user ? FATE_ORDER : FATE_NAME;
}

int rows_decide(struct batch *b, const struct order_record *r, enum fate *fate, int64_t *letter)
{
	struct segment_batch *s = &b->segment[r->segment];
	*fate = FATE_NONE;
	*letter = 0;
	if (s->skip)
		return 0;
	if (r->sequence >= s->next)
		decide_above(b, s, r, fate);
	else if (decide_below(b, s, r, fate, letter))
		return -1;
	if (!s->skip)
		s->last = r;
	return 0;
}

/* Writing */

/* Multi-row statements come in a few sizes, so that each is prepared once. */
static int insert_some(struct batch *b, const struct order_record *const *r, int rows)
{
	enum { COLUMNS = 6 };
	struct buf sql;
	struct db_value *v = arena_alloc(b->arena, (size_t)(rows * COLUMNS) * sizeof *v);
	int64_t now = clock_ms();
	buf_init(&sql, b->arena);
	buf_puts(
		&sql,
		"INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) VALUES ");
	for (int i = 0; i < rows; i++) {
		struct db_value *row = v + (ptrdiff_t)i * COLUMNS;
		buf_puts(&sql, i ? ", (?, ?, ?, ?, 1, ?, ?)" : "(?, ?, ?, ?, 1, ?, ?)");
		row[0] = DB_N(b->coupon);
		row[1] = DB_N(r[i]->segment);
		row[2] = DB_N(r[i]->sequence);
		row[3] = DB_N(r[i]->user);
		row[4] = DB_N(r[i]->claimed_ms);
		row[5] = DB_N(now);
	}
	return db_run(b->svc->db, NULL, sql.p, v, rows * COLUMNS, NULL, NULL);
}

static int insert_orders(struct batch *b, const struct decided *d, int count)
{
	static const int sizes[] = { 512, 128, 32, 8, 1 };
	const struct order_record **orders = arena_alloc(b->arena, (size_t)(count + 1) * sizeof(struct order_record *));
	const struct order_record *const *from = orders;
	int left = 0;
	for (int i = 0; i < count; i++)
		if (d[i].fate != FATE_NAME)
			orders[left++] = d[i].record;
	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
		for (; left >= sizes[k]; left -= sizes[k], from += sizes[k]) {
			if (insert_some(b, from, sizes[k]))
				return -1;
			FAULT(drain_inserted);
		}
	return 0;
}

/* A person who decides about the letter at the same moment has it: then this is done again, and finds that. */
static int write_letter(struct batch *b, const struct decided *d)
{
	if (d->fate == FATE_NAME)
		return dead_letter_put(b, d->record->segment, d->record->sequence, d->record->raw, REASON_LOST);
	if (d->fate != FATE_REVIVE)
		return 0;
	int revived = dead_letter_revive(b->svc, d->letter);
	b->raced |= revived == 0;
	return revived == 1 ? 0 : -1;
}

/* Whether the next record is of that range of an earlier incarnation, too: numbers ascend, so the last one is enough.
 */
static bool goes_on(const struct segment_batch *s, const struct decided *d, const struct decided *end, int64_t base)
{
	const struct order_record *next = d + 1 < end ? d[1].record : NULL;
	return next && next->segment == d->record->segment && next->sequence <= s->cursor_base &&
	       ranges_of(s->ranges, next->sequence).base == base;
}

/* A number of an earlier incarnation is known to be given out from now on. */
static int raise_range(struct batch *b, const struct decided *d, const struct decided *end)
{
	const struct order_record *r = d->record;
	struct segment_batch *s = &b->segment[r->segment];
	if (!s->ranges) {
		s->ranges = arena_alloc(b->arena, sizeof *s->ranges);
		if (ranges_read(b->svc, b->arena, b->coupon, r->segment, s->ranges) != STATUS_OK)
			return -1;
	}
	if (ranges_place(s->ranges, r->sequence) >= 0)
		return 0;
	struct range range = ranges_of(s->ranges, r->sequence);
	range.count = r->sequence - range.base;
	ranges_put(b->arena, s->ranges, range);
	return goes_on(s, d, end, range.base) ? 0
					      : numbers_found(b->svc, b->coupon, r->segment, range.base, r->sequence);
}

int rows_write(struct batch *b, const struct decided *d, int count)
{
	const struct decided *end = d + count;
	if (insert_orders(b, d, count))
		return -1;
	for (; d < end; d++)
		if (write_letter(b, d) ||
		    (d->record->sequence <= b->segment[d->record->segment].cursor_base && raise_range(b, d, end)))
			return -1;
	return 0;
}

int rows_count_sold(struct batch *b, int units)
{
	int64_t changed = 0;
	if (!units)
		return 0;
	if (db_exec(b->svc->db, "UPDATE coupons SET sold = sold + ? WHERE id = ? AND sold + ? <= amount", &changed,
		    DB_N(units), DB_N(b->coupon), DB_N(units)))
		return -1;
	FAULT(drain_counted);
	return changed != 1;
}
