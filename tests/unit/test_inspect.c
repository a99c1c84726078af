/* What an inspection decides from the numbers that it has read. */
#include "unit/unit.h"

#include <string.h>

#include "base/clock.h"
#include "inspect/inspection.h"
#include "inspect/openings.h"
#include "unit/fake_redis.h"

enum { SEGMENTS = 3, COUPON = 7, GENERATION = 5 };
#define R NUMBERS_RANGE

static struct service service;
static struct arena arena;
static struct openings openings;
static struct inspection in;

/* A sale of 12 units in open segments, which have reported; nothing is sold. */
static int begin(void **state)
{
	(void)state;
	in = (struct inspection){ .svc = &service,
				  .arena = &arena,
				  .openings = &openings,
				  .coupon = { .id = COUPON, .generation = GENERATION, .segments = SEGMENTS },
				  .status = STATUS_OK };
	in.segments = arena_alloc(&arena, SEGMENTS * sizeof *in.segments);
	in.cursors = arena_alloc(&arena, SEGMENTS * sizeof *in.cursors);
	in.numbering.before = in.cursors;
	in.numbering.bases = arena_alloc(&arena, SEGMENTS * sizeof *in.numbering.bases);
	in.hub = (struct slot){ .fence = STR("2:5@run"), .incarnation = STR("run") };
	in.at_hub = (struct slot_hub){ .amount = 12, .term = 1 };
	for (int i = 0; i < SEGMENTS; i++) {
		in.segments[i] = (struct slot){ .fence = STR("2:5@run"), .incarnation = STR("run") };
		in.segments[i].now = (struct slot_segment){ .left = 4, .received = 4, .term = 1 };
		in.segments[i].at_hub = (struct slot_share){ .granted = 4, .reported = '1' };
		in.cursors[i] = (struct cursor){ .base = 0, .next = 1 };
		in.numbering.bases[i] = R;
	}
	return 0;
}

static int end(void **state)
{
	(void)state;
	fake_redis_reset();
	openings_release(&openings);
	arena_release(&arena);
	return 0;
}

/* Fences */

static const struct {
	const char *fence, *incarnation, *problem;
	bool suspect, away;
} fences[] = {
	{ "2:5@run", "run", NULL, false, false },
	{ "2:5@other", "run", NULL, true, false },
	{ "2:5@", "run", NULL, true, false },
	{ "2:5!stray", "run", NULL, true, false },
	{ "2:5@run", "0000000000000000", NULL, false, true },
	{ "", "run", "does not exist", false, false },
	{ "3:5@run", "run", "has layout 3, and this program uses layout 2", false, false },
	{ "2:4@run", "run", "belongs to another generation", false, false },
	{ "2:6@run", "run", "belongs to another generation", false, false },
	{ "2:5!", "run", "was quarantined before", false, false },
	{ "2:5!written", "run", "was quarantined before", false, false },
};

static void a_fence_says_whether_a_segment_is_suspect(void **state)
{
	for (size_t i = 0; i < COUNT_OF(fences); i++) {
		begin(state);
		struct slot *s = &in.segments[1];
		s->fence = str_of(fences[i].fence);
		s->incarnation = str_of(fences[i].incarnation);
		expect(inspection_judge_fences(&in) == fences[i].suspect, "%s", fences[i].fence);
		expect(s->suspect == fences[i].suspect, "%s", fences[i].fence);
		expect(s->away == fences[i].away && in.away == fences[i].away, "%s", fences[i].fence);
		expect(!s->problem == !fences[i].problem, "%s: %s", fences[i].fence, s->problem);
		expect(!s->problem || strcmp(s->problem, fences[i].problem) == 0, "%s: %s", fences[i].fence, s->problem);
	}
}

static void without_the_hubs_server_nothing_is_known(void **state)
{
	(void)state;
	in.hub.incarnation = STR("0000000000000000");
	inspection_judge_fences(&in);
	assert_int_equal(in.status, STATUS_UNAVAILABLE);
}

static void a_segment_under_a_replaced_base_is_suspect(void **state)
{
	(void)state;
	in.cursors[0].base = R;
	in.segments[2].at_hub.base = R;
	assert_true(inspection_judge_fences(&in));
	assert_true(in.segments[0].suspect);
	assert_false(in.segments[1].suspect);
	assert_true(in.segments[2].suspect);
}

/* Waiting */

static void suspect_segments_wait_for(bool expected)
{
	inspection_judge_fences(&in);
	inspection_mark_waiting(&in);
	for (int i = 0; i < SEGMENTS; i++)
		assert_int_equal(in.segments[i].waits, expected && in.segments[i].suspect);
	assert_int_equal(slot_to_open(&in.segments[0]), !expected);
}

static void nothing_is_waited_for_while_all_have_reported(void **state)
{
	(void)state;
	in.segments[0].fence = STR("2:5@other");
	in.segments[1].away = true; /* and has reported */
	suspect_segments_wait_for(false);
}

static void no_segment_opens_while_one_that_has_not_reported_is_away(void **state)
{
	(void)state;
	in.segments[0].fence = STR("2:5@other");
	in.segments[1].away = in.segments[1].unreported = true;
	suspect_segments_wait_for(true);
}

static void segments_wait_until_the_hub_has_begun_its_term(void **state)
{
	(void)state;
	in.segments[0].fence = in.hub.fence = STR("2:5@other");
	suspect_segments_wait_for(true);
	assert_true(inspection_has_work(&in));
}

static void segments_wait_until_workers_have_stopped_answering_sold_out(void **state)
{
	(void)state;
	in.segments[0].fence = STR("2:5@other");
	in.at_hub.is_opening = true;
	in.at_hub.epoch = 3;
	suspect_segments_wait_for(true);
	in.segments[0].waits = false;
	openings_forget(&openings, COUPON);
	openings_note(&openings, COUPON, 3, clock_mono_ms() - 1000);
	suspect_segments_wait_for(false);
	in.at_hub.epoch = 4; /* it was sold out again since */
	suspect_segments_wait_for(true);
}

static void an_open_segment_that_has_not_reported_is_work(void **state)
{
	(void)state;
	assert_false(inspection_judge_fences(&in));
	assert_false(inspection_has_work(&in));
	in.segments[2].unreported = true;
	assert_true(inspection_judge_fences(&in));
	assert_true(inspection_has_work(&in));
	assert_true(slot_to_report(&in.segments[2]));
}

static void slots_that_a_server_lost_are_told_from_a_coupon_that_is_in_trouble(void **state)
{
	bool any_left;
	assert_false(inspection_lost_slots(&in, &any_left));
	in.segments[1].fence = STR("");
	inspection_judge_fences(&in);
	assert_true(inspection_lost_slots(&in, &any_left));
	assert_true(any_left);
	in.segments[2].fence = STR("2:5!");
	inspection_judge_fences(&in);
	assert_false(inspection_lost_slots(&in, &any_left));
	begin(state);
	in.hub.fence = STR("");
	for (int i = 0; i < SEGMENTS; i++)
		in.segments[i].fence = STR("");
	inspection_judge_fences(&in);
	assert_true(inspection_lost_slots(&in, &any_left));
	assert_false(any_left);
}

static void slots_without_the_end_of_a_recovery_count_as_lost(void **state)
{
	static const char *const ends[] = { "2:5!recover", "2:5!written", "2:4@0123456789abcdef" };
	bool any_left;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		begin(state);
		in.segments[1].fence = str_of(ends[i]);
		in.segments[2].away = true;
		inspection_judge_fences(&in);
		assert_true(inspection_lost_slots(&in, &any_left));
		assert_true(any_left);
	}
	begin(state);
	in.segments[1].fence = STR("2:6@0123456789abcdef"); /* MySQL is older */
	inspection_judge_fences(&in);
	assert_false(inspection_lost_slots(&in, &any_left));
}

/* Numbers */

static const struct {
	const char *name;
	struct slot_segment now;
	int64_t list_first, list_last;
	struct cursor cursor;
	const char *problem;
} numbers[] = {
	{ "nothing is sold", { .received = 4 }, 0, 0, { .base = 0, .next = 1 }, NULL },
	{ "more is sold than the segment had", { .received = 4, .sold = 5, .last = 5 }, 4, 5, { .base = 0, .next = 4 },
	  "has sold and returned more units than it received" },
	{ "two wait", { .received = 6, .sold = 5, .last = 5 }, 4, 5, { .base = 0, .next = 4 }, NULL },
	{ "a trim did not come", { .received = 6, .sold = 5, .last = 5 }, 2, 5, { .base = 0, .next = 4 }, NULL },
	{ "all are in MySQL", { .received = 6, .sold = 5, .last = 5 }, 0, 0, { .base = 0, .next = 6 }, NULL },
	{ "MySQL has more", { .received = 6, .sold = 5, .last = 5 }, 0, 0, { .base = 0, .next = 8 }, NULL },
	{ "under a later base", { .received = 6, .sold = 5, .last = R + 2, .base = R }, R + 1, R + 2,
	  { .base = R, .next = R + 1 }, NULL },
	{ "MySQL has a later base", { .received = 6, .sold = 5, .last = 5 }, 0, 0, { .base = R, .next = R + 1 }, NULL },
	{ "what is listed is no order", { .received = 6, .sold = 5, .last = 5 }, -1, 5, { .base = 0, .next = 4 }, NULL },
	{ "a field is missing", { .received = 6, .sold = 5, .last = 5, .sent = -1 }, 4, 5, { .base = 0, .next = 4 },
	  "has no valid number in its field 'O' (units returned)" },
	{ "more is sold than it kept", { .received = 6, .sent = 2, .sold = 5, .last = 5 }, 4, 5, { .base = 0, .next = 4 },
	  "has sold and returned more units than it received" },
	{ "the last number is below the base", { .received = 6, .base = R, .last = 5 }, 0, 0, { .base = R, .next = R + 1 },
	  "has a last order number below its base" },
	{ "MySQL does not know the base", { .received = 6, .base = R, .last = R }, 0, 0, { .base = 0, .next = 1 },
	  "has order numbers that MySQL has not handed out: MySQL was restored from an older backup" },
	{ "the list is gone", { .received = 6, .sold = 5, .last = 5 }, 0, 0, { .base = 0, .next = 4 },
	  "has an empty list, and MySQL lacks some of its orders" },
	{ "the list is gone, with its only order", { .received = 6, .sold = 5, .last = 5 }, 0, 0, { .base = 0, .next = 5 },
	  "has an empty list, and MySQL lacks some of its orders" },
	{ "the head of the list is gone", { .received = 6, .sold = 5, .last = 5 }, 5, 5, { .base = 0, .next = 4 },
	  "has a list without its first orders, and MySQL lacks them" },
	{ "the end of the list is gone", { .received = 6, .sold = 5, .last = 5 }, 4, 4, { .base = 0, .next = 4 },
	  "has a list that does not end with its last order" },
};

static void a_segments_numbers_agree_with_its_list_and_with_mysql(void **state)
{
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		begin(state);
		struct slot *s = &in.segments[1];
		s->suspect = true;
		s->now = numbers[i].now;
		s->list_first = numbers[i].list_first;
		s->list_last = numbers[i].list_last;
		in.numbering.before[1] = numbers[i].cursor;
		in.numbering.bases[1] = 4 * R;
		inspection_judge_numbers(&in);
		expect(!in.must_retry, "%s", numbers[i].name);
		expect(!s->problem == !numbers[i].problem, "%s: %s", numbers[i].name, s->problem);
		expect(!s->problem || strcmp(s->problem, numbers[i].problem) == 0, "%s: %s", numbers[i].name, s->problem);
		expect(in.lost_records == (s->problem && strstr(s->problem, " list")), "%s", numbers[i].name);
	}
}

static void a_segment_that_another_inspection_has_opened_is_left_alone(void **state)
{
	for (int by_base = 0; by_base <= 1; by_base++) {
		begin(state);
		in.segments[1].suspect = true;
		in.segments[1].now.last = R;
		in.segments[1].now.base = by_base ? R : 0;
		inspection_judge_numbers(&in);
		assert_true(in.must_retry);
		assert_null(in.segments[1].problem);
	}
}

/* Units of all segments */

static void judge_units(int64_t avail, bool expect_retry, const char *problem)
{
	in.segments[0].suspect = true;
	in.at_hub.avail = avail;
	inspection_judge_units(&in);
	expect(in.must_retry == expect_retry, "%lld", (long long)avail);
	expect(!in.segments[0].problem == !problem, "%s", in.segments[0].problem);
	if (problem)
		assert_string_equal(in.segments[0].problem, problem);
}

static void segments_open_once_all_have_reported_and_the_hub_has_units_or_none(void **state)
{
	(void)state;
	judge_units(0, false, NULL);
}

static void a_hub_that_lacks_units_opens_no_segment(void **state)
{
	(void)state;
	judge_units(-1, false, "would sell more than was put on sale");
}

static void a_segment_that_is_away_may_have_the_units_that_the_hub_lacks(void **state)
{
	(void)state;
	in.away = in.segments[1].away = true;
	judge_units(-1, true, NULL);
}

static void a_segment_that_has_not_reported_is_waited_for_unless_it_is_quarantined(void **state)
{
	(void)state;
	in.segments[1].unreported = true;
	judge_units(0, true, NULL);
	in.must_retry = false;
	in.segments[1].problem = "was quarantined before";
	judge_units(0, false, "cannot be opened: another segment is quarantined and has not reported to the hub");
}

static void segments_return_as_many_units_as_the_hub_lacks(void **state)
{
	(void)state;
	in.at_hub.avail = -5;
	for (int i = 0; i < 2; i++)
		in.segments[i].suspect = true;
	inspection_return_units(&in);
	assert_string_equal(fake_redis_oldest(), "mend sk:{7:0}:s sk:{7:0}:o | 2:5@run 0 0 4 0 1048576  4 4 1");
	fake_redis_answer("OK 0 0 4 4 0");
	assert_string_equal(fake_redis_oldest(), "mend sk:{7:1}:s sk:{7:1}:o | 2:5@run 0 0 4 0 1048576  4 1 1");
	fake_redis_answer("OTHER");
	assert_int_equal(fake_redis_waiting(), 0);
	assert_int_equal(in.segments[0].now.sent, 4);
	assert_true(in.must_retry);
}

static void missing_orders_are_admitted_and_written_back(void **state)
{
	(void)state;
	struct missing_order orders[] = {
		{ .number = 3, .user = 11, .unit = 1, .units = 1 }, { .number = 4, .units = 1 }, { .number = 6, .user = 12, .unit = 100 }
	};
	struct missing_orders missing = { .at = orders, .count = 3 };
	struct slot *s = &in.segments[1];
	s->suspect = true;
	s->missing = &missing;
	s->now = (struct slot_segment){ .received = 4, .sold = 2, .last = 2 };
	inspection_admit(&in);
	assert_string_equal(fake_redis_oldest(), "admit sk:{7:h}:hub | 2:5 1 1048576 4 0 4");
	fake_redis_answer("OK 5 1 2 0 0");
	inspection_mend(&in);
	assert_string_equal(fake_redis_oldest(), "mend sk:{7:1}:s sk:{7:1}:o | 2:5@run 2 2 4 0 1048576 "
						 "3 11 1 4 0 1 6 12#100 0  5 1 2");
	fake_redis_answer("OK 4 6 5 1 0");
	assert_false(in.must_retry);
	assert_int_equal(s->now.sold, 4);
	assert_int_equal(s->now.last, 6);
	assert_int_equal(s->now.left, 0);
}

/* Reading */

static void slots_are_read_as_they_are_or_as_missing(void **state)
{
	(void)state;
	inspection_read_slots(&in);
	fake_redis_answer(":2:5@run nil nil :3 :2 :7 :5 :0 :5 :1");
	fake_redis_answer(":2:5@run nil nil :3 :2 :7 nil :0 :x :1");
	fake_redis_answer(":5@run nil :9 :3 nil nil :5 :0 nil nil");
	fake_redis_answer("[fence :2:5@other avail :-2 term :4 heard :101 opening :1 G1 :6 R1 :2 B1 :1048576");
	const struct slot *s = in.segments;
	assert_int_equal(s[0].now.left, 3);
	assert_int_equal(s[0].now.base, 5);
	assert_int_equal(s[1].now.received, -1);
	assert_int_equal(s[1].now.base, -1);
	assert_true(s[2].is_old);
	assert_int_equal(s[2].now.sold, 9);
	assert_int_equal(s[2].now.last, 9);
	assert_int_equal(in.at_hub.avail, -2);
	assert_int_equal(in.at_hub.term, 4);
	assert_true(in.at_hub.is_opening);
	assert_false(s[0].unreported);
	assert_true(s[1].unreported);
	assert_int_equal(s[1].at_hub.granted, 6);
	assert_int_equal(s[1].at_hub.taken, 2);
	assert_int_equal(s[1].at_hub.base, R);
}

static void a_segment_without_a_reply_is_away_and_without_the_hub_nothing_goes_on(void **state)
{
	(void)state;
	inspection_read_slots(&in);
	fake_redis_answer("!unknown");
	fake_redis_answer("!broken");
	fake_redis_answer(":2:5@run nil nil :3 :2 :7 :5 :0 :5 :1");
	fake_redis_answer("!refused");
	assert_true(in.away && in.segments[0].away);
	assert_non_null(in.segments[1].problem);
	assert_int_equal(in.status, STATUS_UNAVAILABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(a_fence_says_whether_a_segment_is_suspect), TEST(without_the_hubs_server_nothing_is_known),
	  TEST(a_segment_under_a_replaced_base_is_suspect), TEST(nothing_is_waited_for_while_all_have_reported),
	  TEST(no_segment_opens_while_one_that_has_not_reported_is_away),
	  TEST(segments_wait_until_the_hub_has_begun_its_term),
	  TEST(segments_wait_until_workers_have_stopped_answering_sold_out),
	  TEST(an_open_segment_that_has_not_reported_is_work),
	  TEST(slots_that_a_server_lost_are_told_from_a_coupon_that_is_in_trouble),
	  TEST(slots_without_the_end_of_a_recovery_count_as_lost),
	  TEST(a_segments_numbers_agree_with_its_list_and_with_mysql),
	  TEST(a_segment_that_another_inspection_has_opened_is_left_alone),
	  TEST(segments_open_once_all_have_reported_and_the_hub_has_units_or_none),
	  TEST(a_hub_that_lacks_units_opens_no_segment),
	  TEST(a_segment_that_is_away_may_have_the_units_that_the_hub_lacks),
	  TEST(a_segment_that_has_not_reported_is_waited_for_unless_it_is_quarantined),
	  TEST(segments_return_as_many_units_as_the_hub_lacks), TEST(missing_orders_are_admitted_and_written_back),
	  TEST(slots_are_read_as_they_are_or_as_missing),
	  TEST(a_segment_without_a_reply_is_away_and_without_the_hub_nothing_goes_on))
