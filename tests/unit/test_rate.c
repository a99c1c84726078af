/* Rate limits that processes share. The clock is a fake that all of them read. */
#include "unit/unit.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/rate.h"

/* What the processes of a test have in common. */
static struct common {
	_Atomic int64_t now_ms;
	_Atomic int taken;
} *common;

int64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_mono_ms(void)
{
	return common->now_ms;
}

static char folder[] = "/tmp/seckill-rate-XXXXXX", path[64], file[72];

static int start(void **state)
{
	(void)state;
	common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (common == MAP_FAILED || !mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/board", folder);
	snprintf(file, sizeof file, "%s.rates", path);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

static struct rates *opened(void)
{
	const char *problem;
	struct rates *r = rates_open(path, &problem);
	expect(!problem && !rates_problem(r), "%s", problem);
	return r;
}

static int taken(struct rates *r, uint64_t key, int limit, int times)
{
	int count = 0, rest;
	for (int i = 0; i < times; i++)
		count += rate_take(r, key, limit, &rest);
	return count;
}

static void a_key_is_used_up_to_its_limit_in_each_second(void **state)
{
	(void)state;
	struct rates *r = opened();
	int rest;
	for (int second = 100; second < 103; second++) {
		common->now_ms = second * 1000;
		for (int left = 4; left >= 0; left--)
			expect(rate_take(r, 7, 5, &rest) && rest == left, "%d left", rest);
		common->now_ms = second * 1000 + 999;
		expect(!rate_take(r, 7, 5, &rest) && rest == 0, "%d left", rest);
		expect(rate_take(r, 8, 5, &rest) && rest == 4, "another key: %d left", rest);
	}
	common->now_ms += 3600000;
	assert_int_equal(taken(r, 7, 1, 2), 1);
	assert_int_equal(taken(r, 9, RATE_LIMIT_MAX, RATE_LIMIT_MAX + 2), RATE_LIMIT_MAX);
	rates_close(r);
	r = opened(); /* another process, or the same one again */
	assert_int_equal(taken(r, 7, 1, 2), 0);
	rates_close(r);
}

static void as_many_keys_as_a_host_has_customers_have_room(void **state)
{
	(void)state;
	enum { CUSTOMERS = 50000, LIMIT = 2 };
	struct rates *r = opened();
	common->now_ms = 5000;
	int count = 0;
	for (int round = 0; round < LIMIT + 1; round++)
		for (uint64_t key = 1; key <= CUSTOMERS; key++)
			count += taken(r, key, LIMIT, 1);
	assert_int_equal(count, CUSTOMERS * LIMIT);
	rates_close(r);
}

/* More than the table holds: whoever finds no room is refused, and nobody is let through above the limit. */
static void a_full_table_refuses(void **state)
{
	(void)state;
	enum { KEYS = 2 * RATE_KEYS };
	struct rates *r = opened();
	common->now_ms = 9000;
	static char first[KEYS];
	int count = 0;
	for (uint64_t key = 0; key < KEYS; key++)
		count += first[key] = (char)taken(r, key, 1, 1);
	assert_true(count <= RATE_KEYS && count > RATE_KEYS * 9 / 10);
	for (uint64_t key = 0; key < KEYS; key++)
		expect(!first[key] || !taken(r, key, 1, 1), "key %d", (int)key);
	common->now_ms += 1000;
	assert_int_equal(taken(r, 1, 1, 1), 1);
	rates_close(r);
}

static void earlier_and_later_times_in_the_file(void **state)
{
	(void)state;
	struct rates *r = opened();
	common->now_ms = 50000000;
	assert_int_equal(taken(r, 7, 3, 9), 3);
	common->now_ms = 2000; /* the host was started again, and the file was kept */
	assert_int_equal(taken(r, 7, 3, 9), 3);
	rates_close(r);
}

/* Uses a few keys, all at once, while the clock goes on; counts the uses of key 1. */
static void hammer(void)
{
	const char *problem;
	struct rates *r = rates_open(path, &problem);
	int rest;
	while (common->now_ms < 1000000)
		for (uint64_t key = 1; key <= 64; key++)
			if (rate_take(r, key, 10, &rest) && key == 1)
				common->taken++;
	_exit(problem != NULL);
}

static void processes_share_a_limit(void **state)
{
	(void)state;
	enum { PROCESSES = 4, SECONDS = 200 };
	pid_t pids[PROCESSES];
	struct rates *r = opened();
	rates_close(r);
	common->now_ms = 0;
	common->taken = 0;
	for (int i = 0; i < PROCESSES; i++)
		if ((pids[i] = fork()) == 0)
			hammer();
	for (int second = 0; second < SECONDS; second++) {
		int before = common->taken;
		for (int i = 0; common->taken < before + 10 && i < 100000; i++)
			usleep(20);
		common->now_ms += 1000;
	}
	common->now_ms = 1000000;
	for (int i = 0, status; i < PROCESSES; i++)
		assert_true(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	/* one more second: that in which they end */
	expect(common->taken >= SECONDS * 10 && common->taken <= (SECONDS + 1) * 10, "%d uses", common->taken);
}

static void a_file_that_cannot_be_used(void **state)
{
	(void)state;
	const char *problem;
	struct rates *r = rates_open("/nonexistent/board", &problem);
	assert_non_null(problem);
	assert_non_null(rates_problem(r));
	common->now_ms = 1000;
	assert_int_equal(taken(r, 7, 3, 9), 3);
	rates_close(r);
	rates_close(NULL);
}

#define CASE(f) cmocka_unit_test_teardown(f, remove_file)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(a_key_is_used_up_to_its_limit_in_each_second),
					    CASE(as_many_keys_as_a_host_has_customers_have_room),
					    CASE(a_full_table_refuses),
					    CASE(earlier_and_later_times_in_the_file),
					    CASE(processes_share_a_limit),
					    cmocka_unit_test(a_file_that_cannot_be_used) };
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, start, stop);
}
