#include "drain/transaction.h"

#include "base/buf.h"
#include "drain/decide.h"
#include "host/fault.h"
#include "order/dead_letter.h"
#include "order/order_row.h"
#include "sale/coupon.h"

struct transaction {
	struct batch *batch;
	const struct order_record *records, *end;
	struct decision *decisions; /* those with another fate than FATE_NONE */
	int count;
	struct order_rows rows; /* that are inserted */
	int orders, letters;    /* how many this transaction inserts */
	bool raced;             /* another drainer or an operator wrote the same row at the same moment */
	bool oversold;
};

/* The cursors */

int transaction_find_coupon(struct batch *b)
{
	struct db_rows rows;
	if (b->coupon_exists)
		return 0;
	if (db_query(b->svc->db, b->arena, "SELECT pay_within_s, unit_limit FROM coupons WHERE id = ?", &rows,
		     DB_N(b->coupon)))
		return -1;
	b->coupon_exists = rows.count > 0;
	b->pay_within_s = rows.count ? db_row(&rows, 0)[0].number : 0;
	b->limit = rows.count ? db_row(&rows, 0)[1].number : 1;
	b->stray = !b->coupon_exists;
	return b->coupon_exists ? 0 : -1;
}

/* DB_DUPLICATE: another drainer inserted it at the same moment. */
static int insert_cursor(struct transaction *t, int segment)
{
	struct db *db = t->batch->svc->db;
	int result =
		db_exec(db, "INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES (?, ?, 0, 1)",
			NULL, DB_N(t->batch->coupon), DB_N(segment));
	t->raced = result && db_failure(db) == DB_DUPLICATE;
	return result;
}

/* A segment with another base than its cursor waits for an inspection. A cursor that does not exist has base 0. */
static int take_cursor(struct transaction *t, int i)
{
	struct batch *b = t->batch;
	struct segment_batch *s = &b->segment[i];
	s->next = s->cursor.next;
	if (!s->waits)
		return 0;
	s->skip = s->base != s->cursor.base;
	b->replaced |= s->skip;
	return s->cursor.exists || s->skip ? 0 : insert_cursor(t, i);
}

static int lock_cursors(struct transaction *t)
{
	struct batch *b = t->batch;
	struct cursor *cursors = arena_alloc(b->arena, (size_t)b->segments * sizeof *cursors);
	if (cursors_lock(b->svc, b->arena, b->coupon, b->segments, cursors) || transaction_find_coupon(b))
		return -1;
	for (int i = 0; i < b->segments; i++) {
		b->segment[i].cursor = cursors[i];
		if (take_cursor(t, i))
			return -1;
	}
	FAULT(drain_locked);
	return 0;
}

/* Resets the state that an earlier transaction of this batch has left. */
static int begin(struct transaction *t, struct batch *b, const struct order_record *records, int count)
{
	*t = (struct transaction){ .batch = b, .records = records, .end = records + count };
	t->decisions = arena_alloc(b->arena, (size_t)(count + 1) * sizeof *t->decisions);
	for (int i = 0; i < b->segments; i++) {
		struct segment_batch *s = &b->segment[i];
		s->skip = false;
		s->last = NULL;
		s->known = (struct known_numbers){ 0 };
		s->ranges = NULL;
	}
	return db_begin(b->svc->db) || lock_cursors(t) ? -1 : 0;
}

/*
 * Lists the segments whose cursors move. Padded with repeats to a power of two, so that few different statements are
 * prepared.
 */
static int list_moved(const struct batch *b, int moved[SEGMENTS_MAX])
{
	int n = 0, size = 1;
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].last && b->segment[i].next != b->segment[i].cursor.next)
			moved[n++] = i;
	while (size < n)
		size *= 2;
	for (; n && n < size; n++)
		moved[n] = moved[n - 1];
	return n;
}

static int move_cursors(struct batch *b)
{
	struct buf sql;
	int moved[SEGMENTS_MAX], n = list_moved(b, moved), params = 0;
	if (!n)
		return 0;
	struct db_value *v = arena_alloc(b->arena, (size_t)(3 * n + 1) * sizeof *v);
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
	if (db_exec_params(b->svc->db, sql.p, NULL, v, params))
		return -1;
	FAULT(drain_moved);
	return 0;
}

/* Deciding and writing */

static int decide_all(struct transaction *t)
{
	for (const struct order_record *r = t->records; r < t->end; r++) {
		struct decision *d = &t->decisions[t->count];
		if (decide(t->batch, r, t->end, d))
			return -1;
		t->count += d->fate != FATE_NONE;
		t->orders += d->fate == FATE_ORDER || d->fate == FATE_REVIVE;
	}
	return 0;
}

static int insert_orders(struct transaction *t)
{
	struct batch *b = t->batch;
	const struct order_record **orders =
		arena_alloc(b->arena, (size_t)(t->orders + 1) * sizeof(struct order_record *));
	int n = 0;
	for (int i = 0; i < t->count; i++)
		if (t->decisions[i].fate != FATE_NAME)
			orders[n++] = t->decisions[i].record;
	t->rows = (struct order_rows){ b->coupon, b->pay_within_s, orders, n };
	return order_insert(b->svc, b->arena, &t->rows);
}

static int put_letter(struct transaction *t, const struct order_record *r, const char *reason)
{
	int entered = dead_letter_bury(t->batch->svc, &(struct dead_letter){ .coupon = t->batch->coupon,
									     .segment = r->segment,
									     .sequence = r->sequence,
									     .record = r->raw,
									     .reason = str_of(reason) });
	t->letters += entered > 0;
	return entered < 0 ? -1 : 0;
}

/* If an operator has just decided about this letter, that decision stands: we roll back, and the retry finds it. */
static int write_letter(struct transaction *t, const struct decision *d)
{
	if (d->fate == FATE_NAME)
		return put_letter(t, d->record, REASON_LOST);
	if (d->fate != FATE_REVIVE)
		return 0;
	int revived = dead_letter_revive(t->batch->svc, t->batch->arena, d->letter);
	t->raced |= revived == 0;
	return revived == 1 ? 0 : -1;
}

/* True: the next record has a higher number of the same range, so this number need not be written. */
static bool has_higher_in_range(const struct transaction *t, const struct decision *d, int64_t base)
{
	const struct decision *next = d + 1;
	const struct segment_batch *s = &t->batch->segment[d->record->segment];
	return next < t->decisions + t->count && next->record->segment == d->record->segment &&
	       next->record->sequence <= s->cursor.base && ranges_of(s->ranges, next->record->sequence).base == base;
}

/* Notes in MySQL that this number of an earlier base was given out, if its range ends below the number. */
static int raise_range(struct transaction *t, const struct decision *d)
{
	struct batch *b = t->batch;
	const struct order_record *r = d->record;
	struct segment_batch *s = &b->segment[r->segment];
	if (r->sequence > s->cursor.base)
		return 0;
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
	if (has_higher_in_range(t, d, range.base))
		return 0;
	return numbers_extend_range(b->svc, b->coupon, r->segment, range.base, r->sequence);
}

static int write_decisions(struct transaction *t)
{
	if (insert_orders(t))
		return -1;
	for (int i = 0; i < t->count; i++) {
		const struct decision *d = &t->decisions[i];
		if (write_letter(t, d) || raise_range(t, d))
			return -1;
	}
	return 0;
}

/* `sold` never exceeds `amount`, even if Redis has given out more units. */
static int count_sold(struct transaction *t)
{
	struct batch *b = t->batch;
	bool counted;
	if (!t->orders)
		return 0;
	if (order_count_sold(b->svc, b->coupon, t->orders, &counted))
		return -1;
	FAULT(drain_counted);
	t->oversold = !counted;
	return t->oversold ? -1 : order_mark_promoted(b->svc, b->arena, &t->rows);
}

/* The end */

/* Copies the results of the transaction to its batch. */
static void note_committed(const struct transaction *t)
{
	struct batch *b = t->batch;
	b->committed += t->orders;
	b->dead += t->letters;
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].last)
			b->segment[i].committed = b->segment[i].last;
}

static int commit(struct transaction *t)
{
	if (db_commit(t->batch->svc->db))
		return -1;
	note_committed(t);
	return 0;
}

static enum transaction_end roll_back(struct transaction *t)
{
	struct db *db = t->batch->svc->db;
	enum db_failure f = db_failure(db);
	enum transaction_end end = TRANSACTION_FAILED;
	if (t->oversold)
		end = TRANSACTION_OVERSOLD;
	else if (!t->raced && !t->batch->stray && (f == DB_DUPLICATE || f == DB_DATA))
		end = TRANSACTION_REFUSED;
	else if (!t->batch->stray)
		batch_failed(t->batch, "batch");
	db_rollback(db);
	return end;
}

enum transaction_end transaction_move(struct batch *b, const struct order_record *records, int count)
{
	struct transaction t;
	int failed = begin(&t, b, records, count);
	if (!failed)
		failed = decide_all(&t);
	if (!failed)
		failed = write_decisions(&t);
	if (!failed)
		failed = count_sold(&t);
	if (!failed)
		failed = move_cursors(b);
	if (!failed)
		failed = commit(&t);
	if (failed)
		return roll_back(&t);
	FAULT(drain_committed);
	return TRANSACTION_COMMITTED;
}

static int bury(struct transaction *t, const char *reason)
{
	struct decision d;
	if (decide(t->batch, t->records, t->end, &d))
		return -1;
	if (d.fate != FATE_ORDER && d.fate != FATE_NAME) /* it has become an order or a dead letter meanwhile */
		return 0;
	return put_letter(t, t->records, d.fate == FATE_NAME ? REASON_LOST : reason);
}

int transaction_bury(struct batch *b, const struct order_record *r, const char *reason)
{
	struct transaction t;
	if (begin(&t, b, r, 1) == 0 && bury(&t, reason) == 0) {
		FAULT(drain_buried);
		if (move_cursors(b) == 0 && commit(&t) == 0)
			return 0;
	}
	batch_failed(b, "dead letter");
	db_rollback(b->svc->db);
	return -1;
}
