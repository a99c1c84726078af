/*
 * Reading what is left of many large sales: however much is asked for, only so much is under way and is sent in a time,
 * and whoever asked for little does not wait for whoever asked for much.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "page/availability.h"
#include "sale/coupon.h"
#include "unit/fake_redis.h"

enum { SALES = 21, LARGE = 256, SMALL = 3, UNDER_WAY = 36, SAVED = 2048, COMMANDS_MS = 16 };

static struct service service;
static struct coupon *coupons[SALES];

static void on_found(void *context, enum status s, struct coupon *c)
{
	assert_int_equal(s, STATUS_OK);
	*(struct coupon **)context = coupon_hold(c);
}

/* All are large but the last. */
static int start(void **state)
{
	(void)state;
	service = (struct service){ .coupons = coupons_new(), .loop = loop_new() };
	for (int i = 0; i < SALES; i++) {
		char descriptor[256];
		snprintf(descriptor, sizeof descriptor,
			 "id %d seller 3 gen 5 amount 100000 stock 5 t0 0 t1 0 created 1 pay 0 seller_name s name n%d "
			 "description d segments %d key :0123456789abcdef",
			 i + 1, i, i < SALES - 1 ? LARGE : SMALL);
		coupon_find_id(&service, i + 1, on_found, &coupons[i]);
		fake_redis_answer(descriptor);
	}
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fake_redis_down(false);
	assert_int_equal(fake_redis_waiting(), 0);
	assert_true(availability_is_idle(&service));
	availability_close(&service);
	for (int i = 0; i < SALES; i++) {
		assert_null(coupons[i]->states[COUPON_AVAILABILITY]);
		coupon_drop(coupons[i]);
	}
	coupons_free(service.coupons);
	loop_free(service.loop);
	fake_redis_reset();
	return 0;
}

/* Of each read: its end, and after how many of all answers it came. */
static struct asked {
	int ends, at;
	enum status status;
	int64_t left, queued;
} asked[SALES];
static int answers;

static void on_stock(void *context, enum status s, const struct availability *st)
{
	struct asked *a = context;
	*a = (struct asked){ a->ends + 1, answers, s, st ? st->left : -1, st ? st->queued : -1 };
}

static void ask_all(enum availability_detail detail)
{
	answers = 0;
	for (int i = 0; i < SALES; i++) {
		asked[i] = (struct asked){ 0 };
		availability_read(&service, coupons[i], detail, on_stock, &asked[i]);
	}
}

/* True: a command waits for an answer. Those that are not sent yet are sent when the timer runs. */
static bool wait_for_commands(void)
{
	while (!fake_redis_waiting() && !availability_is_idle(&service))
		loop_turn(service.loop, 10);
	return fake_redis_waiting();
}

/* Every segment has sold 2 and has 1 order on its list; 100,020 units were on sale, 30 of them were withdrawn, and 10 that
 * count as sold nobody has. */
static int answer_all(void)
{
	int most = 0;
	for (; wait_for_commands(); answers++) {
		const char *sent = fake_redis_oldest();
		most = fake_redis_waiting() > most ? fake_redis_waiting() : most;
		if (strncmp(sent, "TIME", 4) == 0)
			fake_redis_answer(":1700000000 :0");
		else if (strncmp(sent, "LLEN", 4) == 0)
			fake_redis_answer("1");
		else
			fake_redis_answer(strstr(sent, "fence") ? ":2:5@run :100020 :7 :0 :0 :30 :10" : ":10 :2");
	}
	return most;
}

static void a_bounded_number_of_commands_is_under_way(void **state)
{
	(void)state;
	for (enum availability_detail detail = AVAILABILITY_LEFT; detail <= AVAILABILITY_LISTS; detail++) {
		int lists = detail == AVAILABILITY_LISTS, hub = detail == AVAILABILITY_LEFT ? 1 : 2;
		ask_all(detail);
		int most = answer_all();
		expect(most <= UNDER_WAY + 2 * SALES, "%d commands at once", most);
		assert_int_equal(answers, hub * SALES + (1 + lists) * (LARGE * (SALES - 1) + SMALL));
		for (int i = 0; i < SALES; i++) {
			int segments = coupons[i]->segments;
			expect(asked[i].ends == 1 && asked[i].status == STATUS_OK, "sale %d: %s", i,
			       status_code(asked[i].status));
			expect(asked[i].left == 100000 - 2 * segments, "sale %d: %lld left", i,
			       (long long)asked[i].left);
			expect(asked[i].queued == (lists ? segments : 0), "sale %d: %lld queued", i,
			       (long long)asked[i].queued);
		}
	}
}

/* Whoever reads without end gets so many commands in a millisecond. What was saved before is sent at once. */
static void reading_without_end_has_a_pace(void **state)
{
	(void)state;
	ask_all(AVAILABILITY_LISTS);
	int64_t began_ms = clock_mono_ms();
	answer_all();
	int64_t took_ms = clock_mono_ms() - began_ms, least_ms = (answers - SAVED) / COMMANDS_MS;
	expect(took_ms >= least_ms - 2, "%d commands in %lld ms", answers, (long long)took_ms);
	ask_all(AVAILABILITY_LISTS);
	for (answers = 0; fake_redis_waiting(); answers++)
		fake_redis_answer("1");
	expect(answers < SAVED / 2, "%d commands were saved meanwhile", answers);
	answer_all();
}

static void a_small_sale_does_not_wait_for_large_ones(void **state)
{
	(void)state;
	ask_all(AVAILABILITY_STATE);
	answer_all();
	expect(asked[SALES - 1].at < SALES * (SMALL + 2) + UNDER_WAY, "its answer was number %d of %d",
	       asked[SALES - 1].at, answers);
}

/* Units that are added meanwhile are counted before what is sold of them: the hub's answer is the last but the clock's.
 */
static void the_hub_is_read_after_the_segments(void **state)
{
	(void)state;
	struct asked a = { 0 };
	availability_read(&service, coupons[SALES - 1], AVAILABILITY_STATE, on_stock, &a);
	for (int i = 0; i < SMALL; i++) {
		assert_non_null(strstr(fake_redis_oldest(), "left sold"));
		fake_redis_answer(":10 :2");
	}
	assert_non_null(strstr(fake_redis_oldest(), "amount"));
	answer_all();
	assert_int_equal(a.left, 100000 - 2 * SMALL);
}

static void whoever_asks_during_a_read_gets_the_next_one(void **state)
{
	(void)state;
	struct asked early = { 0 }, late = { 0 };
	availability_read(&service, coupons[SALES - 1], AVAILABILITY_STATE, on_stock, &early);
	fake_redis_answer(":10 :2");
	availability_read(&service, coupons[SALES - 1], AVAILABILITY_LISTS, on_stock, &late);
	answer_all();
	assert_int_equal(early.ends, 1);
	assert_int_equal(early.queued, 0);
	assert_int_equal(late.ends, 1);
	assert_int_equal(late.queued, SMALL);
}

/* No sum of what Redis says overflows: what cannot be is 0. */
static void numbers_beyond_all_bounds_are_none(void **state)
{
	(void)state;
	struct asked one = { 0 };
	availability_read(&service, coupons[0], AVAILABILITY_LISTS, on_stock, &one);
	while (wait_for_commands()) {
		const char *sent = fake_redis_oldest();
		if (strncmp(sent, "TIME", 4) == 0)
			fake_redis_answer(":9223372036854775807 :0");
		else if (strncmp(sent, "LLEN", 4) == 0)
			fake_redis_answer("9223372036854775807");
		else
			fake_redis_answer(strstr(sent, "fence") ?
						  ":2:5@run :9007199254740992 :7 :0 :9007199254740992 :9007199254740993 :-1" :
						  ":9223372036854775807 :-9007199254740992");
	}
	assert_int_equal(one.status, STATUS_OK);
	assert_true(one.left == (LARGE + 2) * ((int64_t)1 << 53) - 1);
	assert_int_equal(one.queued, 0);
}

static void without_redis_all_end_at_once(void **state)
{
	(void)state;
	fake_redis_down(true);
	ask_all(AVAILABILITY_LISTS);
	for (int i = 0; i < SALES; i++)
		expect(asked[i].ends == 1 && asked[i].status == STATUS_UNAVAILABLE, "sale %d: %d, %s", i, asked[i].ends,
		       status_code(asked[i].status));
}

static void a_connection_that_is_lost_in_between_ends_all(void **state)
{
	(void)state;
	ask_all(AVAILABILITY_LISTS);
	fake_redis_down(true);
	while (wait_for_commands())
		fake_redis_answer("!unknown");
	for (int i = 0; i < SALES; i++)
		expect(asked[i].ends == 1 && asked[i].status == STATUS_UNAVAILABLE, "sale %d: %d, %s", i, asked[i].ends,
		       status_code(asked[i].status));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)

UNIT_MAIN(CASE(a_bounded_number_of_commands_is_under_way), CASE(reading_without_end_has_a_pace), CASE(a_small_sale_does_not_wait_for_large_ones),
	  CASE(the_hub_is_read_after_the_segments), CASE(whoever_asks_during_a_read_gets_the_next_one),
	  CASE(numbers_beyond_all_bounds_are_none), CASE(without_redis_all_end_at_once), CASE(a_connection_that_is_lost_in_between_ends_all))
