/* What is known of a segment's orders, put together: which numbers were given out, whose they are, which are lost. */
#include "unit/unit.h"

#include "recover/evidence.h"
#include "sale/numbers.h"

#define R NUMBERS_RANGE

static struct evidence s;
static int64_t limit;

static int begin(void **state)
{
	(void)state;
	evidence_init(&s, 0);
	limit = 1;
	return 0;
}

static int end(void **state)
{
	(void)state;
	evidence_release(&s);
	return 0;
}

static void row(int64_t number, int64_t user)
{
	evidence_add_number(&s, (struct evidence_number){ .number = number, .owner = { user, 1 }, .standing = NUMBER_HAS_ROW });
	evidence_add_order(&s, (struct evidence_order){ .owner = { user, 1 }, .number = number, .claimed_ms = 1, .source = SOURCE_ROW });
}

static void row_over(int64_t number, int64_t user)
{
	evidence_add_number(&s, (struct evidence_number){ .number = number, .owner = { user, 1 }, .standing = NUMBER_HAS_ROW });
}

static void lost(int64_t number, int64_t letter, bool is_held)
{
	evidence_add_number(&s, (struct evidence_number){
		.number = number, .letter = letter, .standing = NUMBER_LOST, .is_held = is_held });
}

static void order(enum evidence_source source, int64_t number, int64_t user)
{
	evidence_add_order(&s, (struct evidence_order){ .owner = { user, 1 },
					       .number = number,
					       .source = source,
					       .owner_number = source == SOURCE_OWNERS ? number : 0 });
}

static const struct evidence_order *of(int64_t user)
{
	const struct evidence_order *found = NULL;
	for (int i = 0; i < s.order_count; i++)
		if (s.orders[i].owner.user == user) {
			expect(!found, "user %lld has two orders", (long long)user);
			found = &s.orders[i];
		}
	return found;
}

static void merge(void)
{
	evidence_sort_numbers(&s);
	evidence_merge(&s, limit);
}

static void is_missing(const int64_t *numbers, int count)
{
	int64_t found[16] = { 0 };
	evidence_sort_numbers(&s);
	expect(evidence_count_missing(&s) == count, "%lld are missing, not %d", (long long)evidence_count_missing(&s), count);
	evidence_list_missing(&s, found);
	for (int i = 0; i < count; i++)
		expect(found[i] == numbers[i], "%lld is missing, not %lld", (long long)found[i], (long long)numbers[i]);
}
#define IS_MISSING(...)                                                                                                \
	is_missing((const int64_t[]){ __VA_ARGS__ }, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

static void numbers_between_those_that_are_known_are_missing(void **state)
{
	(void)state;
	evidence_note_range(&s, (struct evidence_range){ .count = 4 });
	row(1, 11);
	order(SOURCE_LIST, 3, 12);
	evidence_note_number(&s, 6); /* a mark */
	IS_MISSING(2, 4, 5, 6);
	assert_int_equal(s.last, 6);
	assert_int_equal(s.base, 0);
}

static void of_each_base_the_numbers_begin_anew(void **state)
{
	(void)state;
	evidence_note_range(&s, (struct evidence_range){ .base = R, .count = 2, .stored = 2 });
	evidence_note_range(&s, (struct evidence_range){ .base = 3 * R });
	row(1, 11);
	row(R + 2, 12);
	order(SOURCE_OWNERS, 3 * R + 1, 13);
	IS_MISSING(R + 1);
	assert_int_equal(s.range_count, 3);
	assert_int_equal(s.ranges[1].stored, 2);
	assert_int_equal(s.base, 3 * R);
	assert_int_equal(s.last, 3 * R + 1);
}

static void a_base_that_everybody_forgot_is_the_multiple_below(void **state)
{
	(void)state;
	evidence_note_range(&s, (struct evidence_range){ .count = 5 });
	for (int i = 1; i <= 5; i++)
		row(i, i);
	order(SOURCE_CUSTOMER, 2 * R + 3, 13);
	order(SOURCE_CUSTOMER, 2 * R + 1, 14);
	IS_MISSING(2 * R + 2);
	assert_int_equal(s.range_count, 2);
	assert_int_equal(s.ranges[1].base, 2 * R);
	assert_int_equal(s.ranges[1].count, 3);
}

static void a_range_that_sold_more_than_bases_are_apart_stays_one(void **state)
{
	(void)state;
	evidence_note_range(&s, (struct evidence_range){ .count = R + 5 });
	evidence_note_number(&s, R + 8);
	assert_int_equal(s.range_count, 1);
	assert_int_equal(s.ranges[0].count, R + 8);
}

static void a_customer_has_one_order_the_most_believed(void **state)
{
	(void)state;
	row(1, 11);
	order(SOURCE_OWNERS, 1, 11);
	order(SOURCE_OWNERS, 2, 12);
	order(SOURCE_LIST, 2, 12);
	order(SOURCE_CUSTOMER, 3, 12);
	merge();
	assert_int_equal(s.order_count, 2);
	assert_int_equal(of(11)->source, SOURCE_ROW);
	assert_int_equal(of(11)->owner_number, 1);
	assert_int_equal(of(12)->source, SOURCE_LIST);
	assert_int_equal(of(12)->number, 2);
	assert_int_equal(of(12)->owner_number, 2);
	IS_MISSING(3);
}

static void a_number_that_is_anothers_is_given_up(void **state)
{
	(void)state;
	row(1, 11);
	order(SOURCE_OWNERS, 1, 12);
	order(SOURCE_LIST, 2, 13);
	order(SOURCE_OWNERS, 2, 14);
	order(SOURCE_LIST, 1, 15); /* its customer has another one, that is well */
	order(SOURCE_OWNERS, 3, 15);
	merge();
	assert_int_equal(of(12)->number, 0);
	assert_int_equal(of(12)->acknowledged, 1);
	assert_int_equal(of(13)->number, 2);
	assert_int_equal(of(14)->number, 0);
	assert_int_equal(of(15)->number, 3);
	IS_MISSING();
}

static void an_order_that_is_over_is_not_found_again(void **state)
{
	(void)state;
	row_over(1, 11);
	row_over(2, 12);
	row(3, 12);
	order(SOURCE_OWNERS, 1, 11);
	order(SOURCE_CUSTOMER, 1, 11);
	order(SOURCE_OWNERS, 2, 12);
	row_over(4, 13);
	order(SOURCE_CUSTOMER, 4, 13);
	row_over(5, 14);
	order(SOURCE_LIST, 6, 14); /* bought again */
	merge();
	assert_int_equal(of(11)->source, SOURCE_OVER);
	assert_int_equal(of(11)->number, 0);
	assert_int_equal(of(12)->number, 3);
	assert_int_equal(of(12)->owner_number, 2);
	assert_null(of(13));
	assert_int_equal(of(14)->number, 6);
	assert_true(evidence_is_new(of(14)));
}

static void what_was_named_lost_and_is_found_is_the_order_that_it_was(void **state)
{
	(void)state;
	lost(1, 101, true);
	lost(2, 102, true);
	lost(3, 103, false);
	lost(4, 104, false);
	order(SOURCE_OWNERS, 1, 11);
	order(SOURCE_CUSTOMER, 2, 12);
	order(SOURCE_CUSTOMER, 3, 13); /* was told that it is lost, and nothing else knows of it */
	order(SOURCE_LIST, 4, 14);
	merge();
	assert_int_equal(of(11)->letter, 101);
	assert_int_equal(of(11)->number, 1);
	assert_int_equal(of(12)->letter, 102);
	assert_null(of(13));
	assert_int_equal(of(14)->letter, 104);
	IS_MISSING();
}

static void who_comes_first_has_the_lower_number(void **state)
{
	(void)state;
	row(1, 11);
	order(SOURCE_OWNERS, 1, 12); /* has none */
	order(SOURCE_OWNERS, 3, 13);
	order(SOURCE_OWNERS, 2, 14);
	merge();
	for (int i = 0; i < 4; i++)
		assert_int_equal(s.orders[i].owner.user, ((const int64_t[]){ 11, 14, 13, 12 })[i]);
}

static void unit(enum evidence_source source, int64_t number, int64_t user, int of)
{
	if (source == SOURCE_ROW)
		evidence_add_number(&s, (struct evidence_number){
			.number = number, .owner = { user, of }, .standing = NUMBER_HAS_ROW });
	evidence_add_order(&s, (struct evidence_order){ .owner = { user, of },
							.number = number,
							.source = source,
							.owner_number = source == SOURCE_OWNERS ? number : 0 });
}

/* The numbers of a customer's orders, by unit. */
static void units_are(int64_t user, const int64_t *numbers, int count)
{
	int64_t found[UNITS_MAX + 1] = { 0 };
	for (int i = 0; i < s.order_count; i++) {
		const struct owner *o = &s.orders[i].owner;
		if (o->user != user)
			continue;
		expect(o->unit >= 1 && o->unit <= UNITS_MAX && !found[o->unit], "unit %d", o->unit);
		found[o->unit] = s.orders[i].number;
	}
	for (int unit = 1; unit <= UNITS_MAX; unit++)
		expect(found[unit] == (unit <= count ? numbers[unit - 1] : 0), "unit %d: %lld", unit, (long long)found[unit]);
}

static void a_customer_has_one_order_of_each_unit(void **state)
{
	(void)state;
	limit = 3;
	unit(SOURCE_ROW, 1, 11, 2);
	unit(SOURCE_OWNERS, 1, 11, 2);
	unit(SOURCE_LIST, 3, 11, 1);
	unit(SOURCE_OWNERS, 3, 11, 1);
	unit(SOURCE_OWNERS, 4, 11, 3);
	unit(SOURCE_ROW, 2, 12, 1);
	merge();
	units_are(11, (const int64_t[]){ 3, 1, 4 }, 3);
	units_are(12, (const int64_t[]){ 2 }, 1);
}

/* A customer's list does not say which unit an order is: another source may, else it is the lowest that is free. */
static void an_order_of_an_unknown_unit_gets_a_free_one(void **state)
{
	(void)state;
	limit = 3;
	unit(SOURCE_ROW, 1, 11, 2);
	unit(SOURCE_LIST, 2, 11, 3);
	for (int number = 1; number <= 4; number++)
		unit(SOURCE_CUSTOMER, number, 11, 0);
	merge();
	units_are(11, (const int64_t[]){ 3, 1, 2 }, 3);
	IS_MISSING(4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(numbers_between_those_that_are_known_are_missing), TEST(of_each_base_the_numbers_begin_anew),
	  TEST(a_base_that_everybody_forgot_is_the_multiple_below),
	  TEST(a_range_that_sold_more_than_bases_are_apart_stays_one), TEST(a_customer_has_one_order_the_most_believed),
	  TEST(a_number_that_is_anothers_is_given_up), TEST(an_order_that_is_over_is_not_found_again),
	  TEST(what_was_named_lost_and_is_found_is_the_order_that_it_was), TEST(who_comes_first_has_the_lower_number),
	  TEST(a_customer_has_one_order_of_each_unit), TEST(an_order_of_an_unknown_unit_gets_a_free_one))
