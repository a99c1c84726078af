/* What is known of the orders, into MySQL: the numbers that go on, the orders that it lacks, those that are lost. */
#include <stdlib.h>

#include "base/clock.h"
#include "host/fault.h"
#include "order/dead_letter.h"
#include "recover/recover_part.h"

/* Ranges of which MySQL knows less than others, or nothing. */
static int write_ranges(struct recover *r, const struct evidence *s)
{
	for (int i = 0; i < s->range_count; i++) {
		const struct evidence_range *range = &s->ranges[i];
		if (range->count > range->stored &&
		    numbers_found(r->svc, r->coupon.id, s->segment, range->base, range->base + range->count))
			return -1;
	}
	return 0;
}

/* Every segment gets a new base and the hub a new term: no known number is given again, and old messages are refused.
 */
static int hand_out(struct recover *r)
{
	int segments = r->coupon.segments;
	struct numbering *n = &r->numbers;
	*n = (struct numbering){ .coupon = r->coupon.id, .segments = segments, .hub = true, .term = r->hub.term };
	n->wanted = arena_alloc(r->arena, (size_t)segments * sizeof *n->wanted);
	n->above = arena_alloc(r->arena, (size_t)segments * sizeof *n->above);
	n->known = arena_alloc(r->arena, (size_t)segments * sizeof *n->known);
	n->before = arena_alloc(r->arena, (size_t)segments * sizeof *n->before);
	n->bases = arena_alloc(r->arena, (size_t)segments * sizeof *n->bases);
	for (int i = 0; i < segments; i++) {
		const struct evidence *s = &r->sources[i];
		n->wanted[i] = true;
		n->above[i] = s->last > s->base ? s->last : s->base;
		n->term = s->term > n->term ? s->term : n->term;
	}
	if (numbers_hand_out_within(r->svc, r->arena, n))
		return -1;
	FAULT(recover_numbered);
	for (int i = 0; i < segments; i++)
		if (write_ranges(r, &r->sources[i]))
			return -1;
	return 0;
}

static int insert_order(struct recover *r, int segment, const struct evidence_claim *claim)
{
	return db_exec(r->svc->db,
		       "INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
		       "VALUES (?, ?, ?, ?, 1, ?, ?)",
		       NULL, DB_N(r->coupon.id), DB_N(segment), DB_N(claim->sequence), DB_N(claim->user),
		       DB_N(claim->claimed_ms), DB_N(clock_ms()));
}

static int bury(struct recover *r, int segment, int64_t number, const char *record, const char *reason)
{
	return dead_letter_bury(r->svc, r->coupon.id, segment, number, str_of(record), reason) < 0 ? -1 : 0;
}

static const char *record_of(struct recover *r, const struct evidence_claim *claim)
{
	return arena_printf(r->arena, "%lld|%lld|%lld", (long long)claim->sequence, (long long)claim->user,
			    (long long)claim->claimed_ms);
}

/* Its number stays free, as its unit does not exist; the customer may ask again, and is told the truth. */
static int refuse(struct recover *r, struct evidence *s, struct evidence_claim *claim)
{
	const char *record = record_of(r, claim);
	claim->sequence = 0;
	r->out->refused++;
	return bury(r, s->segment, 0, record, "oversold by data loss");
}

/* The letter of an order that has its row by now. */
static int revive(struct recover *r, int64_t letter)
{
	return db_exec(r->svc->db, "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = NULL WHERE id = ?",
		       NULL, DB_N(DEAD_RETRIED), DB_N(clock_ms()), DB_N(letter));
}

static int rescue(struct recover *r, struct evidence *s, struct evidence_claim *claim)
{
	if (!claim->claimed_ms)
		claim->claimed_ms = clock_ms();
	if (r->room <= 0)
		return refuse(r, s, claim);
	if (!claim->sequence) {
		claim->sequence = r->numbers.bases[s->segment] + ++r->shares[s->segment].renumbered;
		r->out->renumbered++;
	}
	if (insert_order(r, s->segment, claim) == 0) {
		r->room--;
		r->out->rescued++;
		return claim->letter ? revive(r, claim->letter) : 0;
	}
	enum db_failure f = db_failure(r->svc->db);
	if (f != DB_DUPLICATE && f != DB_DATA)
		return -1;
	r->out->refused++;
	if (claim->letter) /* it stays what it is */
		return 0;
	return bury(r, s->segment, claim->sequence, record_of(r, claim),
		    arena_printf(r->arena, "MySQL refuses it: %s", db_error(r->svc->db)));
}

static int rescue_all(struct recover *r, struct evidence *s)
{
	for (int i = 0; i < s->count; i++)
		if (source_is_new(&s->claims[i]) && rescue(r, s, &s->claims[i]))
			return -1;
	return 0;
}

/* Before any order is rescued or refused. */
static int hold_unknown(struct recover *r, struct evidence *s)
{
	int64_t count = evidence_missing(s);
	int64_t *numbers = malloc((size_t)(count + 1) * sizeof *numbers);
	int failed = 0;
	if (!numbers)
		abort();
	evidence_list_missing(s, numbers);
	for (int64_t i = 0; !failed && i < count; i++)
		failed = bury(r, s->segment, numbers[i], arena_printf(r->arena, "%lld|?|?", (long long)numbers[i]),
			      REASON_LOST);
	free(numbers);
	r->out->unknown += count;
	return failed;
}

/* Also those that a recovery before this one held back. */
static int release_unknown(struct recover *r)
{
	if (!r->resell)
		return 0;
	return db_exec(r->svc->db,
		       "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = ? "
		       "WHERE coupon_id = ? AND reason = ? AND state = ?",
		       NULL, DB_N(DEAD_RESOLD), DB_N(clock_ms()), DB_S(STR("recover --resell-unknown")),
		       DB_N(r->coupon.id), DB_S(STR(REASON_LOST)), DB_N(DEAD_OPEN));
}

/* Above the orders that were given a new number. */
static int move_cursor(struct recover *r, int i)
{
	if (!r->shares[i].renumbered)
		return 0;
	return db_exec(r->svc->db, "UPDATE drain_cursors SET next_number = ? WHERE coupon_id = ? AND segment = ?", NULL,
		       DB_N(r->numbers.bases[i] + r->shares[i].renumbered + 1), DB_N(r->coupon.id), DB_N(i));
}

/* A result of segments and numbers of them. The sum of all, also of segments that the coupon does not have; -1. */
static int64_t add_shares(struct recover *r, const struct db_rows *rows)
{
	int64_t sum = 0;
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		int64_t segment;
		if (db_int(r->svc->db, &v[0], 0, INT32_MAX, &segment))
			return -1;
		if (segment < r->coupon.segments)
			r->shares[segment].sold += v[1].number;
		sum += v[1].number;
	}
	return sum;
}

static int count(struct recover *r)
{
	struct db *db = r->svc->db;
	struct db_rows orders, letters;
	if (db_exec(db, "UPDATE coupons SET sold = sold + ? WHERE id = ?", NULL, DB_N(r->out->rescued),
		    DB_N(r->coupon.id)) ||
	    db_query(db, r->arena, "SELECT segment, COUNT(*) FROM orders WHERE coupon_id = ? GROUP BY segment", &orders,
		     DB_N(r->coupon.id)) ||
	    db_query(
		    db, r->arena,
		    "SELECT segment, COUNT(DISTINCT seq) FROM dead_letters WHERE coupon_id = ? AND " DEAD_LETTER_HOLDS_UNIT
		    " GROUP BY segment",
		    &letters, DB_N(r->coupon.id)))
		return -1;
	r->out->orders = add_shares(r, &orders);
	r->held = add_shares(r, &letters);
	return r->out->orders < 0 || r->held < 0 ? -1 : 0;
}

int recover_insert(struct recover *r)
{
	if (hand_out(r))
		return -1;
	for (int i = 0; i < r->coupon.segments; i++)
		if (hold_unknown(r, &r->sources[i]) || rescue_all(r, &r->sources[i]) || move_cursor(r, i))
			return -1;
	return release_unknown(r) || count(r) ? -1 : 0;
}
