/* What is known of a segment's orders, put together: which numbers were given out, whose they are, which are lost. */
#include "unit/unit.h"

#include "recover/evidence.h"
#include "sale/numbers.h"

#define R NUMBERS_RANGE

static struct evidence s;

static int begin(void **state)
{
	(void)state;
	evidence_init(&s, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	evidence_free(&s);
	return 0;
}

static void row(int64_t number, int64_t user)
{
	evidence_add_known(&s, (struct evidence_number){ .number = number, .user = user, .standing = HAS_ROW });
	evidence_add(&s, (struct evidence_claim){ .user = user, .sequence = number, .claimed_ms = 1, .source = IN_MYSQL });
}

static void row_over(int64_t number, int64_t user)
{
	evidence_add_known(&s, (struct evidence_number){ .number = number, .user = user, .standing = HAS_ROW });
}

static void lost(int64_t number, int64_t letter, bool is_held)
{
	evidence_add_known(&s, (struct evidence_number){ number, 0, letter, IS_LOST, is_held });
}

static void claim(enum source source, int64_t number, int64_t user)
{
	evidence_add(&s, (struct evidence_claim){ .user = user,
					       .sequence = number,
					       .source = source,
					       .owner_sequence = source == AMONG_OWNERS ? number : 0 });
}

static const struct evidence_claim *of(int64_t user)
{
	const struct evidence_claim *found = NULL;
	for (int i = 0; i < s.count; i++)
		if (s.claims[i].user == user) {
			expect(!found, "user %lld has two claims", (long long)user);
			found = &s.claims[i];
		}
	return found;
}

static void merge(void)
{
	evidence_sort_known(&s);
	evidence_merge(&s);
}

static void is_missing(const int64_t *numbers, int count)
{
	int64_t found[16] = { 0 };
	evidence_sort_known(&s);
	expect(evidence_missing(&s) == count, "%lld are missing, not %d", (long long)evidence_missing(&s), count);
	evidence_list_missing(&s, found);
	for (int i = 0; i < count; i++)
		expect(found[i] == numbers[i], "%lld is missing, not %lld", (long long)found[i], (long long)numbers[i]);
}
#define IS_MISSING(...)                                                                                                \
	is_missing((const int64_t[]){ __VA_ARGS__ }, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

static void numbers_between_those_that_are_known_are_missing(void **state)
{
	(void)state;
	evidence_see_range(&s, (struct evidence_range){ .count = 4 });
	row(1, 11);
	claim(ON_LIST, 3, 12);
	evidence_see(&s, 6); /* a mark */
	IS_MISSING(2, 4, 5, 6);
	assert_int_equal(s.last, 6);
	assert_int_equal(s.base, 0);
}

static void of_each_base_the_numbers_begin_anew(void **state)
{
	(void)state;
	evidence_see_range(&s, (struct evidence_range){ .base = R, .count = 2, .stored = 2 });
	evidence_see_range(&s, (struct evidence_range){ .base = 3 * R });
	row(1, 11);
	row(R + 2, 12);
	claim(AMONG_OWNERS, 3 * R + 1, 13);
	IS_MISSING(R + 1);
	assert_int_equal(s.range_count, 3);
	assert_int_equal(s.ranges[1].stored, 2);
	assert_int_equal(s.base, 3 * R);
	assert_int_equal(s.last, 3 * R + 1);
}

static void a_base_that_everybody_forgot_is_the_multiple_below(void **state)
{
	(void)state;
	evidence_see_range(&s, (struct evidence_range){ .count = 5 });
	for (int i = 1; i <= 5; i++)
		row(i, i);
	claim(IN_INDEX, 2 * R + 3, 13);
	claim(IN_INDEX, 2 * R + 1, 14);
	IS_MISSING(2 * R + 2);
	assert_int_equal(s.range_count, 2);
	assert_int_equal(s.ranges[1].base, 2 * R);
	assert_int_equal(s.ranges[1].count, 3);
}

static void a_range_that_sold_more_than_bases_are_apart_stays_one(void **state)
{
	(void)state;
	evidence_see_range(&s, (struct evidence_range){ .count = R + 5 });
	evidence_see(&s, R + 8);
	assert_int_equal(s.range_count, 1);
	assert_int_equal(s.ranges[0].count, R + 8);
}

static void a_customer_has_one_order_the_most_believed(void **state)
{
	(void)state;
	row(1, 11);
	claim(AMONG_OWNERS, 1, 11);
	claim(AMONG_OWNERS, 2, 12);
	claim(ON_LIST, 2, 12);
	claim(IN_INDEX, 3, 12);
	merge();
	assert_int_equal(s.count, 2);
	assert_int_equal(of(11)->source, IN_MYSQL);
	assert_int_equal(of(11)->owner_sequence, 1);
	assert_int_equal(of(12)->source, ON_LIST);
	assert_int_equal(of(12)->sequence, 2);
	assert_int_equal(of(12)->owner_sequence, 2);
	IS_MISSING(3);
}

static void a_number_that_is_anothers_is_given_up(void **state)
{
	(void)state;
	row(1, 11);
	claim(AMONG_OWNERS, 1, 12);
	claim(ON_LIST, 2, 13);
	claim(AMONG_OWNERS, 2, 14);
	claim(ON_LIST, 1, 15); /* its customer has another one, that is well */
	claim(AMONG_OWNERS, 3, 15);
	merge();
	assert_int_equal(of(12)->sequence, 0);
	assert_int_equal(of(12)->told, 1);
	assert_int_equal(of(13)->sequence, 2);
	assert_int_equal(of(14)->sequence, 0);
	assert_int_equal(of(15)->sequence, 3);
	IS_MISSING();
}

static void an_order_that_is_over_is_not_found_again(void **state)
{
	(void)state;
	row_over(1, 11);
	row_over(2, 12);
	row(3, 12);
	claim(AMONG_OWNERS, 1, 11);
	claim(IN_INDEX, 1, 11);
	claim(AMONG_OWNERS, 2, 12);
	row_over(4, 13);
	claim(IN_INDEX, 4, 13);
	row_over(5, 14);
	claim(ON_LIST, 6, 14); /* bought again */
	merge();
	assert_int_equal(of(11)->source, OVER);
	assert_int_equal(of(11)->sequence, 0);
	assert_int_equal(of(12)->sequence, 3);
	assert_int_equal(of(12)->owner_sequence, 2);
	assert_null(of(13));
	assert_int_equal(of(14)->sequence, 6);
	assert_true(source_is_new(of(14)));
}

static void what_was_named_lost_and_is_found_is_the_order_that_it_was(void **state)
{
	(void)state;
	lost(1, 101, true);
	lost(2, 102, true);
	lost(3, 103, false);
	lost(4, 104, false);
	claim(AMONG_OWNERS, 1, 11);
	claim(IN_INDEX, 2, 12);
	claim(IN_INDEX, 3, 13); /* was told that it is lost, and nothing else knows of it */
	claim(ON_LIST, 4, 14);
	merge();
	assert_int_equal(of(11)->letter, 101);
	assert_int_equal(of(11)->sequence, 1);
	assert_int_equal(of(12)->letter, 102);
	assert_null(of(13));
	assert_int_equal(of(14)->letter, 104);
	IS_MISSING();
}

static void who_comes_first_has_the_lower_number(void **state)
{
	(void)state;
	row(1, 11);
	claim(AMONG_OWNERS, 1, 12); /* has none */
	claim(AMONG_OWNERS, 3, 13);
	claim(AMONG_OWNERS, 2, 14);
	merge();
	for (int i = 0; i < 4; i++)
		assert_int_equal(s.claims[i].user, ((const int64_t[]){ 11, 14, 13, 12 })[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(numbers_between_those_that_are_known_are_missing), TEST(of_each_base_the_numbers_begin_anew),
	  TEST(a_base_that_everybody_forgot_is_the_multiple_below),
	  TEST(a_range_that_sold_more_than_bases_are_apart_stays_one), TEST(a_customer_has_one_order_the_most_believed),
	  TEST(a_number_that_is_anothers_is_given_up), TEST(an_order_that_is_over_is_not_found_again),
	  TEST(what_was_named_lost_and_is_found_is_the_order_that_it_was), TEST(who_comes_first_has_the_lower_number))
