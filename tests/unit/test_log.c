/* Lines of a condition that lasts: written once, then once a minute with their number, and bounded whatever
 * happens. */
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "host/log.h"

int64_t __wrap_clock_mono_ms(void);
static int64_t now = 5000;

int64_t __wrap_clock_mono_ms(void)
{
	return now;
}

static int lines;
static char last[256];

static void take(const char *event, const struct log_pair *pairs)
{
	size_t n = (size_t)snprintf(last, sizeof last, "%s", event);
	lines++;
	for (; pairs->key; pairs++)
		if (pairs->text.p)
			n += (size_t)snprintf(last + n, sizeof last - n, " %s=%.*s", pairs->key, (int)pairs->text.n,
					      pairs->text.p);
		else
			n += (size_t)snprintf(last + n, sizeof last - n, " %s=%lld", pairs->key, pairs->number);
}

/* Every test begins long after the one before. */
static int begin(void **state)
{
	(void)state;
	log_to(take);
	now += 1000000;
	lines = 0;
	last[0] = '\0';
	return 0;
}

static void gap(int segment)
{
	log_error_limited("gap", LOG_INT("segment", segment), LOG_TEXT("why", "lost"));
}

static void a_line_is_repeated_once_a_minute_with_its_number(void **state)
{
	(void)state;
	for (int second = 0; second < 180; second++, now += 1000) {
		gap(1);
		gap(1);
		expect(lines == second / 60 + 1, "second %d: %d lines", second, lines);
		if (second == 0)
			assert_string_equal(last, "gap segment=1 why=lost");
		if (second == 60)
			assert_string_equal(last, "gap segment=1 why=lost repeated=119");
	}
	now += 60000;
	gap(1);
	assert_int_equal(lines, 4);
}

static void lines_that_differ_are_told_apart(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		gap(1);
		gap(2);
		log_error_limited("hole", LOG_INT("segment", 1), LOG_TEXT("why", "lost"));
		log_warn_limited("gap", LOG_INT("segment", 1), LOG_TEXT("why", "losT"));
		log_warn_limited("gap", LOG_INT("section", 1), LOG_TEXT("why", "lost"));
		log_warn_limited("gap");
	}
	assert_int_equal(lines, 6);
	for (int i = 0; i < 3; i++)
		log_error("gap", LOG_INT("segment", 1), LOG_TEXT("why", "lost"));
	assert_int_equal(lines, 9);
}

static void a_crowd_of_different_lines_is_bounded(void **state)
{
	(void)state;
	int segment = 0;
	for (int ms = 0; ms < 10000; ms++, now++)
		gap(segment++);
	expect(lines >= 256 && lines <= 256 + 11, "%d lines", lines);
	gap(0);
	expect(lines <= 256 + 11, "%d lines: the first is still known", lines);
	now += 60000;
	lines = 0;
	gap(segment);
	gap(segment);
	assert_int_equal(lines, 1);
}

UNIT_MAIN(cmocka_unit_test_setup(a_line_is_repeated_once_a_minute_with_its_number, begin),
	  cmocka_unit_test_setup(lines_that_differ_are_told_apart, begin),
	  cmocka_unit_test_setup(a_crowd_of_different_lines_is_bounded, begin))
