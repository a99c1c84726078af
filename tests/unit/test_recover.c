/*
 * What a recovery decides from the evidence: which orders get a row, under which number, and which become dead letters.
 * The functions that ask MySQL are replaced here.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "order/dead_letter.h"
#include "recover/recover.h"
#include "recover/recovery.h"

enum { COUPON = 7, SEGMENTS = 2 };
#define R NUMBERS_RANGE

static struct arena arena;
static struct evidence evidence[SEGMENTS];
static struct segment_share segments[SEGMENTS];
static struct recovery_result result;
static struct recovery r;
static struct recovery_options options;

/* MySQL */

static int64_t taken_number; /* under it MySQL refuses a row */
static enum db_failure failure, refusal;
static struct written {
	int64_t number, user, claimed_ms;
} rows[16];
static int row_count;
static struct letter {
	int64_t number;
	char record[64], reason[128];
} letters[16];
static int letter_count;
static int64_t ended_letter, cursor_segment, cursor_next, sold, resold;
static struct range found[16];
static int found_count;

static int insert_row(const struct db_value *p)
{
	if (p[2].number == taken_number) {
		failure = refusal;
		return -1;
	}
	rows[row_count++] = (struct written){ p[2].number, p[3].number, p[7].number };
	return 0;
}

static bool is_to(const char *sql, const char *beginning)
{
	return strncmp(sql, beginning, strlen(beginning)) == 0;
}

/* What is counted by segment is segment 0's. */
static void count_rows(struct arena *a, const char *sql, struct db_rows *result_rows)
{
	struct db_value *values = arena_alloc(a, 4 * sizeof *values);
	values[0] = DB_N(0);
	values[1] = DB_N(is_to(sql, "SELECT segment, COUNT(*)") ? row_count : letter_count);
	*result_rows = (struct db_rows){ .count = 1, .columns = 2, .values = values };
}

int db_run(struct db *db, const struct db_statement *st)
{
	const char *sql = st->sql;
	const struct db_value *p = st->params;
	(void)db;
	if (st->rows)
		count_rows(st->arena, sql, st->rows);
	if (is_to(sql, "INSERT INTO orders"))
		return insert_row(p);
	if (is_to(sql, "UPDATE dead_letters SET state = ?, ended_at_ms = ?, end_reason = NULL"))
		ended_letter = p[2].number;
	else if (is_to(sql, "UPDATE dead_letters"))
		resold = p[3].number;
	if (is_to(sql, "UPDATE drain_cursors")) {
		cursor_next = p[0].number;
		cursor_segment = p[2].number;
	}
	if (is_to(sql, "UPDATE coupons SET sold"))
		sold = p[0].number;
	return 0;
}

int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number)
{
	(void)db, (void)min, (void)max;
	*number = v->number;
	return 0;
}

enum db_failure db_failure(const struct db *db)
{
	(void)db;
	return failure;
}

const char *db_error(const struct db *db)
{
	(void)db;
	return "a duplicate";
}

int dead_letter_bury(struct service *svc, const struct dead_letter *d)
{
	struct letter *l = &letters[letter_count++];
	(void)svc;
	assert_int_equal(d->coupon, COUPON);
	l->number = d->sequence;
	snprintf(l->record, sizeof l->record, "%.*s", (int)d->record.n, d->record.p);
	snprintf(l->reason, sizeof l->reason, "%.*s", (int)d->reason.n, d->reason.p);
	return 1;
}

/* Each segment gets the next base above what it asks for. */
int numbers_hand_out_within(struct service *svc, struct arena *a, struct numbering *n)
{
	(void)svc, (void)a;
	for (int i = 0; i < n->segments; i++)
		n->bases[i] = (n->above[i] / R + 1) * R;
	n->term++;
	return 0;
}

int numbers_extend_range(struct service *svc, int64_t coupon, int segment, int64_t base, int64_t number)
{
	(void)svc, (void)coupon, (void)segment;
	found[found_count++] = (struct range){ base, number - base };
	return 0;
}

/* Setup */

static int begin(void **state)
{
	(void)state;
	static struct service service;
	memset(segments, 0, sizeof segments);
	result = (struct recovery_result){ 0 };
	options.resell = false;
	r = (struct recovery){ .svc = &service,
			       .arena = &arena,
			       .coupon = { .id = COUPON, .segments = SEGMENTS },
			       .hub = { .term = 3 },
			       .evidence = evidence,
			       .segments = segments,
			       .room = 10,
			       .options = &options,
			       .out = &result };
	for (int i = 0; i < SEGMENTS; i++)
		evidence_init(&evidence[i], i);
	row_count = letter_count = found_count = 0;
	taken_number = ended_letter = cursor_next = cursor_segment = sold = resold = 0;
	failure = DB_NONE;
	refusal = DB_DUPLICATE;
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (int i = 0; i < SEGMENTS; i++)
		evidence_release(&evidence[i]);
	arena_release(&arena);
	return 0;
}

static void owner(int64_t number, int64_t user)
{
	evidence_add_order(&evidence[0], (struct evidence_order){ .owner = { user, 1 },
								  .number = number,
								  .claimed_ms = 1000 + user,
								  .source = SOURCE_OWNERS,
								  .owner_number = number });
}

static void row(int64_t number, int64_t user)
{
	evidence_add_number(&evidence[0],
			    (struct evidence_number){ .number = number, .owner = { user, 1 }, .standing = NUMBER_HAS_ROW });
	evidence_add_order(&evidence[0], (struct evidence_order){ .owner = { user, 1 }, .number = number, .source = SOURCE_ROW });
}

static int insert(void)
{
	for (int i = 0; i < SEGMENTS; i++) {
		evidence_sort_numbers(&evidence[i]);
		evidence_merge(&evidence[i], 1);
	}
	return recovery_insert(&r);
}

/* Cases */

static void an_order_that_only_redis_has_gets_its_row(void **state)
{
	(void)state;
	row(1, 11);
	owner(1, 11);
	owner(2, 12);
	assert_int_equal(insert(), 0);
	assert_int_equal(row_count, 1);
	assert_int_equal(rows[0].number, 2);
	assert_int_equal(rows[0].user, 12);
	assert_int_equal(rows[0].claimed_ms, 1012);
	assert_int_equal(result.rescued, 1);
	assert_int_equal(result.renumbered, 0);
	assert_int_equal(sold, 1);
	assert_int_equal(letter_count, 0);
	assert_int_equal(cursor_next, 0);
}

static void bases_and_term_are_above_all_that_is_known(void **state)
{
	(void)state;
	evidence_note_number(&evidence[0], 3 * R + 5);
	evidence_note_range(&evidence[1], (struct evidence_range){ .base = 5 * R });
	evidence[1].term = 8;
	assert_int_equal(insert(), 0);
	assert_true(r.numbering.above[0] >= 3 * R + 5);
	assert_true(r.numbering.above[1] >= 5 * R);
	assert_int_equal(r.numbering.bases[0], 4 * R);
	assert_int_equal(r.numbering.bases[1], 6 * R);
	assert_int_equal(r.numbering.term, 9);
}

static void ranges_that_mysql_does_not_know_are_written(void **state)
{
	(void)state;
	evidence_note_range(&evidence[0], (struct evidence_range){ .base = R, .count = 2, .stored = 2 });
	owner(2 * R + 1, 11);
	assert_int_equal(insert(), 0);
	assert_int_equal(found_count, 1);
	assert_int_equal(found[0].base, 2 * R);
	assert_int_equal(found[0].count, 1);
}

static void a_missing_number_is_named_as_lost_and_holds_its_unit(void **state)
{
	(void)state;
	owner(1, 11);
	owner(3, 13);
	assert_int_equal(insert(), 0);
	assert_int_equal(letter_count, 1);
	assert_int_equal(letters[0].number, 2);
	assert_string_equal(letters[0].record, "2|?|?");
	assert_string_equal(letters[0].reason, REASON_LOST);
	assert_int_equal(result.unknown, 1);
	assert_int_equal(result.rescued, 2);
	assert_int_equal(r.held, 1);
	assert_int_equal(resold, 0);
}

static void units_of_missing_numbers_are_sold_again_if_the_operator_says_so(void **state)
{
	(void)state;
	options.resell = true;
	owner(2, 12);
	assert_int_equal(insert(), 0);
	assert_int_equal(letter_count, 1);
	assert_int_equal(resold, COUPON);
}

static void of_two_customers_with_one_number_the_second_gets_a_new_one(void **state)
{
	(void)state;
	row(1, 11);
	owner(1, 12);
	assert_int_equal(insert(), 0);
	assert_int_equal(row_count, 1);
	assert_int_equal(rows[0].number, R + 1);
	assert_int_equal(rows[0].user, 12);
	assert_int_equal(result.renumbered, 1);
	assert_int_equal(segments[0].renumbered, 1);
	assert_int_equal(cursor_segment, 0);
	assert_int_equal(cursor_next, R + 2);
}

static void an_order_for_which_there_is_no_unit_becomes_a_dead_letter_without_a_number(void **state)
{
	(void)state;
	r.room = 1;
	owner(1, 11);
	owner(2, 12);
	assert_int_equal(insert(), 0);
	assert_int_equal(row_count, 1);
	assert_int_equal(rows[0].user, 11);
	assert_int_equal(letter_count, 1);
	assert_int_equal(letters[0].number, 0);
	assert_string_equal(letters[0].record, "2|12|1012");
	assert_int_equal(result.refused, 1);
	assert_int_equal(result.unknown, 0);
	assert_int_equal(evidence[0].orders[1].number, 0); /* so that it goes from among the owners */
}

static void an_order_that_mysql_refuses_becomes_a_dead_letter_and_takes_no_unit(void **state)
{
	(void)state;
	r.room = 1;
	taken_number = 1;
	owner(1, 11);
	owner(2, 12);
	assert_int_equal(insert(), 0);
	assert_int_equal(row_count, 1);
	assert_int_equal(rows[0].user, 12);
	assert_int_equal(letters[0].number, 1);
	assert_string_equal(letters[0].reason, "MySQL refuses it: a duplicate");
	assert_int_equal(result.refused, 1);
	assert_int_equal(r.room, 0);
}

static void a_database_that_fails_ends_it(void **state)
{
	(void)state;
	refusal = DB_AWAY;
	taken_number = 1;
	owner(1, 11);
	assert_int_equal(insert(), -1);
	assert_int_equal(letter_count, 0);
}

static void an_order_that_was_named_as_lost_and_is_found_ends_its_letter(void **state)
{
	(void)state;
	evidence_add_number(&evidence[0], (struct evidence_number){
		.number = 1, .letter = 101, .standing = NUMBER_LOST, .is_held = true });
	owner(1, 11);
	assert_int_equal(insert(), 0);
	assert_int_equal(row_count, 1);
	assert_int_equal(ended_letter, 101);
	assert_int_equal(letter_count, 0);
}

static void a_time_that_nobody_knows_is_now(void **state)
{
	(void)state;
	evidence_add_order(&evidence[0], (struct evidence_order){ .owner = { 11, 1 }, .number = 1, .source = SOURCE_OWNERS });
	assert_int_equal(insert(), 0);
	assert_true(rows[0].claimed_ms > 1700000000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(an_order_that_only_redis_has_gets_its_row), TEST(bases_and_term_are_above_all_that_is_known),
	  TEST(ranges_that_mysql_does_not_know_are_written), TEST(a_missing_number_is_named_as_lost_and_holds_its_unit),
	  TEST(units_of_missing_numbers_are_sold_again_if_the_operator_says_so),
	  TEST(of_two_customers_with_one_number_the_second_gets_a_new_one),
	  TEST(an_order_for_which_there_is_no_unit_becomes_a_dead_letter_without_a_number),
	  TEST(an_order_that_mysql_refuses_becomes_a_dead_letter_and_takes_no_unit), TEST(a_database_that_fails_ends_it),
	  TEST(an_order_that_was_named_as_lost_and_is_found_ends_its_letter), TEST(a_time_that_nobody_knows_is_now))
