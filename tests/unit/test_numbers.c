/* Ranges of order numbers: to which of them a number belongs, and the places of their numbers. */
#include "unit/unit.h"

#include "sale/ranges.h"

static struct arena arena;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

/* As ranges_read makes them. */
static struct ranges ranges(const struct range *list, int count)
{
	struct ranges r = { 0 };
	for (int i = 0; i < count; i++)
		ranges_put(&arena, &r, list[i]);
	return r;
}

static const struct range some[] = { { 0, 70 }, { 2 * NUMBERS_RANGE, NUMBERS_RANGE + 5 }, { 5 * NUMBERS_RANGE, 0 } };

static void every_number_has_a_place(void **state)
{
	(void)state;
	struct ranges r = ranges(some, COUNT_OF(some));
	assert_true(ranges_total(&r) == 70 + NUMBERS_RANGE + 5);
	for (int64_t place = 0; place < ranges_total(&r); place += place < 100 ? 1 : 9999)
		assert_true(ranges_place(&r, ranges_number(&r, place)) == place);
	assert_true(ranges_number(&r, 70) == 2 * NUMBERS_RANGE + 1);
	assert_true(ranges_number(&r, ranges_total(&r)) == 0);
	static const int64_t nowhere[] = { 0, 71, 2 * NUMBERS_RANGE, 3 * NUMBERS_RANGE + 6, 5 * NUMBERS_RANGE + 1 };
	for (size_t i = 0; i < COUNT_OF(nowhere); i++)
		expect(ranges_place(&r, nowhere[i]) == -1, "%lld", (long long)nowhere[i]);
}

/* MySQL does not know a range without orders: its numbers do not belong to the range before it. */
static void a_number_of_an_unknown_range_belongs_to_no_other(void **state)
{
	(void)state;
	struct ranges r = ranges(some, COUNT_OF(some));
	static const struct {
		int64_t number, base, count;
	} cases[] = {
		{ 1, 0, 70 },
		{ 71, 0, 70 },
		{ NUMBERS_RANGE, 0, 70 },
		{ NUMBERS_RANGE + 3, NUMBERS_RANGE, 0 },
		{ 2 * NUMBERS_RANGE + 1, 2 * NUMBERS_RANGE, NUMBERS_RANGE + 5 },
		{ 3 * NUMBERS_RANGE + 6, 2 * NUMBERS_RANGE, NUMBERS_RANGE + 5 },
		{ 4 * NUMBERS_RANGE + 1, 4 * NUMBERS_RANGE, 0 },
		{ 5 * NUMBERS_RANGE + 9, 5 * NUMBERS_RANGE, 0 },
		{ 9 * NUMBERS_RANGE + 9, 9 * NUMBERS_RANGE, 0 },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct range range = ranges_of(&r, cases[i].number);
		expect(range.base == cases[i].base && range.count == cases[i].count, "%lld: %lld, %lld",
		       (long long)cases[i].number, (long long)range.base, (long long)range.count);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(every_number_has_a_place), TEST(a_number_of_an_unknown_range_belongs_to_no_other))
