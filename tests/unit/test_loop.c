/* The event loop's timers: when they run, in which order, and what their callbacks may do with them. */
#include "unit/unit.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/loop.h"

int64_t __wrap_clock_mono_ms(void);
static int64_t now_ms;

int64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

enum { TIMERS = 300, RUNS_MAX = 20000 };

static struct loop *loop;

static struct item {
	struct loop_timer timer;
	int64_t due_ms; /* 0: not set */
	int serial, ran;
} items[TIMERS];

static int serial, runs[RUNS_MAX], ran;

static void set(struct item *i, int64_t delay_ms)
{
	i->due_ms = now_ms + delay_ms;
	i->serial = serial++;
	loop_timer_set(loop, &i->timer, delay_ms);
}

static void cancel(struct item *i)
{
	i->due_ms = 0;
	loop_timer_cancel(loop, &i->timer);
}

static void on_due(struct loop_timer *t)
{
	struct item *i = container_of(t, struct item, timer);
	assert_int_equal(i->due_ms > now_ms, 0);
	assert_int_not_equal(i->due_ms, 0);
	i->due_ms = 0;
	i->ran++;
	runs[ran++] = (int)(i - items);
}

static int start(void **state)
{
	(void)state;
	now_ms = 1000000;
	serial = ran = 0;
	loop = loop_new();
	for (int i = 0; i < TIMERS; i++)
		items[i] = (struct item){ .timer.fn = on_due };
	return 0;
}

static int stop(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void pass(int64_t ms)
{
	now_ms += ms;
	loop_turn(loop, 0);
}

static void a_timer_runs_once_when_it_is_due(void **state)
{
	(void)state;
	set(&items[0], 10);
	pass(9);
	assert_int_equal(items[0].ran, 0);
	pass(1);
	assert_int_equal(items[0].ran, 1);
	pass(100);
	assert_int_equal(items[0].ran, 1);
}

static void a_timer_that_is_set_again_moves(void **state)
{
	(void)state;
	set(&items[0], 10);
	set(&items[1], 20);
	set(&items[0], 30); /* later */
	pass(20);
	assert_int_equal(items[0].ran, 0);
	assert_int_equal(items[1].ran, 1);
	set(&items[0], 1); /* sooner */
	pass(1);
	assert_int_equal(items[0].ran, 1);
}

static void a_cancelled_timer_does_not_run(void **state)
{
	(void)state;
	cancel(&items[0]); /* it was never set */
	set(&items[0], 5);
	set(&items[1], 5);
	cancel(&items[0]);
	cancel(&items[0]);
	pass(5);
	assert_int_equal(items[0].ran, 0);
	assert_int_equal(items[1].ran, 1);
	cancel(&items[1]); /* it has run */
	set(&items[0], 5);
	pass(5);
	assert_int_equal(items[0].ran, 1);
}

static void timers_of_one_millisecond_run_in_the_order_they_were_set(void **state)
{
	(void)state;
	for (int i = 0; i < TIMERS; i++)
		set(&items[i], 7);
	for (int i = 0; i < TIMERS; i += 3)
		set(&items[i], 7); /* now behind the others */
	pass(7);
	assert_int_equal(ran, TIMERS);
	for (int i = 1; i < TIMERS; i++)
		expect(items[runs[i - 1]].serial < items[runs[i]].serial, "%d", i);
}

/* Callbacks */

static void on_due_cancel_next(struct loop_timer *t)
{
	struct item *i = container_of(t, struct item, timer);
	on_due(t);
	cancel(i + 1);
}

static void a_callback_may_cancel_a_timer_that_is_due(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		items[i].timer.fn = on_due_cancel_next;
		set(&items[i], 3);
	}
	pass(3);
	for (int i = 0; i < 10; i++)
		expect(items[i].ran == (i % 2 == 0), "%d", i);
}

static void on_due_again(struct loop_timer *t)
{
	on_due(t);
	set(container_of(t, struct item, timer), 20);
}

static void a_callback_may_set_its_own_timer_again(void **state)
{
	(void)state;
	for (int i = 0; i < TIMERS; i++) {
		items[i].timer.fn = on_due_again;
		set(&items[i], i % 20);
	}
	for (int ms = 0; ms < 200; ms++)
		pass(ms > 0);
	for (int i = 0; i < TIMERS; i++)
		expect(items[i].ran == 10, "%d ran %d times", i, items[i].ran);
}

static void on_due_pull_all(struct loop_timer *t)
{
	on_due(t);
	for (int i = 1; i < TIMERS; i++)
		if (items[i].due_ms)
			set(&items[i], i % 2 ? 0 : 1);
}

static void a_callback_may_move_other_timers(void **state)
{
	(void)state;
	items[0].timer.fn = on_due_pull_all;
	set(&items[0], 1);
	for (int i = 1; i < TIMERS; i++)
		set(&items[i], 1000 + i);
	pass(1);
	for (int i = 1; i < TIMERS; i++)
		expect(items[i].ran == i % 2, "%d", i);
	pass(1);
	assert_int_equal(ran, TIMERS);
}

/* Against a list that is searched from end to end. */

static int due_count(void)
{
	int count = 0;
	for (int i = 0; i < TIMERS; i++)
		count += items[i].due_ms && items[i].due_ms <= now_ms;
	return count;
}

static bool is_in_order(int first)
{
	for (int i = first + 1; i < ran; i++)
		if (items[runs[i - 1]].timer.due_ms > items[runs[i]].timer.due_ms)
			return false;
	return true;
}

static void any_sequence_runs_what_is_due_in_order(void **state)
{
	(void)state;
	srand(1);
	for (int step = 0; step < 20000 && ran < RUNS_MAX - TIMERS; step++) {
		struct item *i = &items[rand() % TIMERS];
		if (rand() % 3)
			set(i, rand() % 50);
		else
			cancel(i);
		if (rand() % 4)
			continue;
		int first = ran;
		now_ms += rand() % 4;
		int wanted = due_count();
		loop_turn(loop, 0);
		assert_int_equal(ran - first, wanted);
		assert_true(is_in_order(first));
	}
}

#define TIMER_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

UNIT_MAIN(TIMER_TEST(a_timer_runs_once_when_it_is_due), TIMER_TEST(a_timer_that_is_set_again_moves),
	  TIMER_TEST(a_cancelled_timer_does_not_run),
	  TIMER_TEST(timers_of_one_millisecond_run_in_the_order_they_were_set),
	  TIMER_TEST(a_callback_may_cancel_a_timer_that_is_due), TIMER_TEST(a_callback_may_set_its_own_timer_again),
	  TIMER_TEST(a_callback_may_move_other_timers), TIMER_TEST(any_sequence_runs_what_is_due_in_order))
