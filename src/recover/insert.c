/*
 * What a recovery writes into MySQL, in one transaction: bases and a term, dead letters of lost orders, and the orders
 * that MySQL lacks. While units are left, an order that only Redis has gets a row, under its own number or, if another
 * order has that number, under a new one. Without a unit it becomes a dead letter.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "order/dead_letter.h"
#include "order/order_row.h"
#include "recover/recover.h"
#include "recover/recovery.h"

/* Numbers */

static void ask_for_numbers(struct recovery *r)
{
	size_t segments = (size_t)r->coupon.segments;
	struct numbering *n = &r->numbering;
	*n = (struct numbering){ .coupon = r->coupon.id,
				 .segments = r->coupon.segments,
				 .hub = true,
				 .term = r->hub.term,
				 .wanted = arena_alloc(r->arena, segments * sizeof *n->wanted),
				 .above = arena_alloc(r->arena, segments * sizeof *n->above),
				 .known = arena_alloc(r->arena, segments * sizeof *n->known),
				 .before = arena_alloc(r->arena, segments * sizeof *n->before),
				 .bases = arena_alloc(r->arena, segments * sizeof *n->bases) };
	for (size_t i = 0; i < segments; i++) {
		const struct evidence *e = &r->evidence[i];
		n->wanted[i] = true;
		n->above[i] = e->last > e->base ? e->last : e->base;
		n->term = e->term > n->term ? e->term : n->term;
	}
}

/* Writes ranges that MySQL lacks, or has with fewer numbers. */
static int write_ranges(struct recovery *r, const struct evidence *e)
{
	for (int i = 0; i < e->range_count; i++) {
		const struct evidence_range *range = &e->ranges[i];
		if (range->count > range->stored &&
		    numbers_extend_range(r->svc, r->coupon.id, e->segment, range->base, range->base + range->count))
			return -1;
	}
	return 0;
}

/* New bases, so that no number is given out twice; a new term, so that the hub refuses messages of the old one. */
static int hand_out_numbers(struct recovery *r)
{
	ask_for_numbers(r);
	if (numbers_hand_out_within(r->svc, r->arena, &r->numbering))
		return -1;
	FAULT(recover_numbered);
	for (int i = 0; i < r->coupon.segments; i++)
		if (write_ranges(r, &r->evidence[i]))
			return -1;
	return 0;
}

/* Lost orders */

/* number 0: the dead letter holds no number, whatever its record says. */
static int bury(struct recovery *r, int64_t number, const struct order_record *record, const char *reason)
{
	char text[ORDER_RECORD_TEXT];
	const struct dead_letter d = { .coupon = r->coupon.id,
				       .segment = record->segment,
				       .sequence = number,
				       .record = order_record_text(text, record),
				       .reason = str_of(reason) };
	return dead_letter_bury(r->svc, &d) < 0 ? -1 : 0;
}

/* Call it before an order is rescued or refused, because that changes which numbers are missing. */
static int hold_missing_numbers(struct recovery *r, const struct evidence *e)
{
	int64_t count = evidence_count_missing(e);
	int64_t *numbers = alloc((size_t)(count + 1) * sizeof *numbers);
	int failed = 0;
	evidence_list_missing(e, numbers);
	for (int64_t i = 0; !failed && i < count; i++)
		failed = bury(r, numbers[i],
			      &(struct order_record){ .segment = e->segment, .sequence = numbers[i], .unit = 1 },
			      REASON_LOST);
	free(numbers);
	r->out->unknown += count;
	return failed;
}

/* Also releases numbers that an earlier recovery held. */
static int release_missing_numbers(struct recovery *r)
{
	if (!r->options->resell)
		return 0;
	return db_exec(r->svc->db,
		       "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = ? "
		       "WHERE coupon_id = ? AND reason = ? AND state = ?",
		       NULL, DB_N(DEAD_RESOLD), DB_N(clock_ms()), DB_S(STR("recover --resell-unknown")),
		       DB_N(r->coupon.id), DB_S(STR(REASON_LOST)), DB_N(DEAD_OPEN));
}

/* Orders */

static struct order_record record_of(int segment, const struct evidence_order *order)
{
	return (struct order_record){
		.segment = segment,
		.sequence = order->number,
		.user = order->owner.user,
		.unit = order->owner.unit,
		.claimed_ms = order->claimed_ms,
		.ticket = order->ticket,
	};
}

/* No unit is left for the order. Its dead letter holds no number, and its customer may claim again. */
static int refuse(struct recovery *r, int segment, struct evidence_order *order)
{
	const struct order_record record = record_of(segment, order);
	order->number = 0;
	r->out->refused++;
	return bury(r, 0, &record, "oversold by data loss");
}

/* Uses an arena that is reset for each order, because there may be millions. */
static int insert_order(struct recovery *r, int segment, const struct evidence_order *order)
{
	const struct order_record record = record_of(segment, order), *records[] = { &record };
	arena_reset(&r->order_arena);
	const struct order_rows rows = { r->coupon.id, r->coupon.pay_within_s, records, 1 };
	return order_insert(r->svc, &r->order_arena, &rows);
}

/* The order has a row now, so its dead letter, if there is one, is ended. */
static int note_rescued(struct recovery *r, const struct evidence_order *order)
{
	r->room--;
	r->out->rescued++;
	if (!order->letter)
		return 0;
	return db_exec(r->svc->db, "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = NULL WHERE id = ?",
		       NULL, DB_N(DEAD_RETRIED), DB_N(clock_ms()), DB_N(order->letter));
}

/* MySQL refuses the row. The order becomes a dead letter, unless it has one already. */
static int note_refused(struct recovery *r, int segment, const struct evidence_order *order)
{
	enum db_failure f = db_failure(r->svc->db);
	if (f != DB_DUPLICATE && f != DB_DATA)
		return -1;
	r->out->refused++;
	if (order->letter)
		return 0;
	const struct order_record record = record_of(segment, order);
	return bury(r, order->number, &record, arena_printf(r->arena, "MySQL refuses it: %s", db_error(r->svc->db)));
}

static int rescue(struct recovery *r, int segment, struct evidence_order *order)
{
	if (!order->claimed_ms)
		order->claimed_ms = clock_ms();
	if (r->room <= 0)
		return refuse(r, segment, order);
	if (!order->number) {
		order->number = r->numbering.bases[segment] + ++r->segments[segment].renumbered;
		r->out->renumbered++;
	}
	return insert_order(r, segment, order) ? note_refused(r, segment, order) : note_rescued(r, order);
}

static int rescue_all(struct recovery *r, struct evidence *e)
{
	for (int i = 0; i < e->order_count; i++)
		if (evidence_is_new(&e->orders[i]) && rescue(r, e->segment, &e->orders[i]))
			return -1;
	return 0;
}

/* Moves the cursor above the orders that were renumbered. */
static int move_cursor(struct recovery *r, int i)
{
	if (!r->segments[i].renumbered)
		return 0;
	return db_exec(r->svc->db, "UPDATE drain_cursors SET next_number = ? WHERE coupon_id = ? AND segment = ?", NULL,
		       DB_N(r->numbering.bases[i] + r->segments[i].renumbered + 1), DB_N(r->coupon.id), DB_N(i));
}

/* Units */

/*
 * Adds the count in each row to the share of its segment. Returns the sum of all rows, including those of segments that
 * the coupon does not have; -1: the database has failed.
 */
static int64_t add_sold(struct recovery *r, const struct db_rows *rows)
{
	int64_t sum = 0;
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		int64_t segment;
		if (db_int(r->svc->db, &v[0], 0, INT32_MAX, &segment))
			return -1;
		if (segment < r->coupon.segments)
			r->segments[segment].sold += v[1].number;
		sum += v[1].number;
	}
	return sum;
}

/*
 * The rows say which units were given back, and which are final; the two totals of final units only grow. The hub may
 * know of more that were given back, if MySQL was restored from an older backup; then the orders that had them are live
 * again, or were ended once more.
 */
static int count_totals(struct recovery *r)
{
	struct db_rows rows;
	const struct db_value coupon = DB_N(r->coupon.id);
	if (db_query(
		    r->svc->db, r->arena,
		    "SELECT (SELECT COUNT(*) FROM orders WHERE coupon_id = ? AND status IN (3, 4)), "
		    "IF(pay_within_s = 0, 0, (SELECT COUNT(*) FROM orders WHERE coupon_id = ? AND status IN (2, 5)) + "
		    "(SELECT COUNT(DISTINCT segment, seq) FROM dead_letters WHERE coupon_id = ? AND " DEAD_LETTER_HOLDS_UNIT
		    ")), final, final_cancelled FROM coupons WHERE id = ?",
		    &rows, coupon, coupon, coupon, coupon))
		return -1;
	const struct db_value *v = db_row(&rows, 0);
	int64_t final = v[1].number, least = v[3].number + final;
	r->cancelled = v[0].number;
	r->final = v[2].number > least ? v[2].number : least;
	r->final_cancelled = r->final - final;
	return db_exec(r->svc->db, "UPDATE coupons SET cancelled = ?, final = ?, final_cancelled = ? WHERE id = ?",
		       NULL, DB_N(r->cancelled), DB_N(r->final), DB_N(r->final_cancelled), coupon);
}

static int count_units(struct recovery *r)
{
	struct db *db = r->svc->db;
	struct db_rows orders, letters;
	if (db_exec(db, "UPDATE coupons SET sold = sold + ?, hub_told = 0 WHERE id = ?", NULL, DB_N(r->out->rescued),
		    DB_N(r->coupon.id)) ||
	    db_query(db, r->arena, "SELECT segment, COUNT(*) FROM orders WHERE coupon_id = ? GROUP BY segment", &orders,
		     DB_N(r->coupon.id)) ||
	    db_query(
		    db, r->arena,
		    "SELECT segment, COUNT(DISTINCT seq) FROM dead_letters WHERE coupon_id = ? AND " DEAD_LETTER_HOLDS_UNIT
		    " GROUP BY segment",
		    &letters, DB_N(r->coupon.id)))
		return -1;
	r->out->orders = add_sold(r, &orders);
	r->held = add_sold(r, &letters);
	return r->out->orders < 0 || r->held < 0 ? -1 : 0;
}

int recovery_insert(struct recovery *r)
{
	if (hand_out_numbers(r))
		return -1;
	for (int i = 0; i < r->coupon.segments; i++) {
		struct evidence *e = &r->evidence[i];
		int failed = hold_missing_numbers(r, e) || rescue_all(r, e) || move_cursor(r, i);
		arena_release(&r->order_arena);
		if (failed)
			return -1;
	}
	return release_missing_numbers(r) || count_units(r) || count_totals(r) ? -1 : 0;
}
