/* What processes share and what they say: counters in a mapped file, lines of the log. */
#include "unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/board.h"
#include "base/log.h"
#include "base/marks.h"

static char folder[] = "/tmp/seckill-board-XXXXXX", path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/board", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int remove_board(void **state)
{
	(void)state;
	return unlink(path);
}

static struct board *opened(void)
{
	const char *problem;
	struct board *b = board_open(path, &problem);
	assert_non_null(b);
	expect(!problem, "%s", problem);
	return b;
}

/* A process that counts n orders and then closes its board, or is killed where it stands. */
static pid_t child(uint64_t n, bool killed)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	const char *problem;
	struct board *b = board_open(path, &problem);
	for (uint64_t i = 0; i < n; i++)
		board_add(b, COUNT_drained_orders_total, 1);
	board_set(b, COUNT_drain_queue_orders, n);
	if (killed)
		raise(SIGKILL);
	board_close(b);
	_exit(0);
}

static void counters_of_processes_add_up(void **state)
{
	(void)state;
	struct board *b = opened();
	pid_t one = child(100000, false), two = child(50000, false);
	board_add(b, COUNT_drained_orders_total, 7);
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
	assert_int_equal(board_read(b, COUNT_drained_orders_total), 150007);
	assert_int_equal(board_read(b, COUNT_drained_batches_total), 0);
	board_close(b);
	b = opened();
	assert_int_equal(board_read(b, COUNT_drained_orders_total), 150007);
	board_close(b);
}

static void a_killed_process_leaves_its_counts_and_its_row(void **state)
{
	(void)state;
	struct board *b = opened();
	uint64_t last = 0;
	/* more deaths than there are rows: without reuse they would run out */
	for (int i = 1; i <= 600; i++) {
		waitpid(child(3, true), NULL, 0);
		uint64_t now = board_read(b, COUNT_drained_orders_total);
		expect(now == last + 3, "death %d: %llu", i, (unsigned long long)now);
		last = now;
	}
	board_close(b);
}

/* Every drainer sees the same queue: the highest view counts, and only of those who live. */
static void a_gauge_is_the_highest_of_the_living(void **state)
{
	(void)state;
	struct board *b = opened(), *other = opened();
	board_set(b, COUNT_drain_queue_orders, 5);
	board_set(other, COUNT_drain_queue_orders, 8);
	assert_int_equal(board_read(b, COUNT_drain_queue_orders), 8);
	waitpid(child(20, true), NULL, 0);
	assert_int_equal(board_read(b, COUNT_drain_queue_orders), 8);
	board_close(other);
	assert_int_equal(board_read(b, COUNT_drain_queue_orders), 5);
	waitpid(child(10, false), NULL, 0); /* takes the dead one's row over, and goes */
	assert_int_equal(board_read(b, COUNT_drain_queue_orders), 5);
	assert_int_equal(board_read(b, COUNT_drained_orders_total), 30);
	board_close(b);
}

static void more_processes_than_rows_still_count(void **state)
{
	(void)state;
	enum { MANY = 260 };
	struct board *boards[MANY];
	for (int i = 0; i < MANY; i++) {
		boards[i] = opened();
		board_add(boards[i], COUNT_drained_orders_total, 1);
	}
	assert_int_equal(board_read(boards[0], COUNT_drained_orders_total), MANY);
	for (int i = 0; i < MANY; i++)
		board_close(boards[i]);
}

static void a_file_of_another_layout_is_replaced(void **state)
{
	(void)state;
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("something else", f);
	fclose(f);
	struct board *b = opened();
	assert_int_equal(board_read(b, COUNT_drained_orders_total), 0);
	board_add(b, COUNT_drained_orders_total, 1);
	assert_int_equal(board_read(b, COUNT_drained_orders_total), 1);
	board_close(b);
}

static void without_a_file_a_process_counts_alone(void **state)
{
	(void)state;
	const char *problem = NULL;
	struct board *b = board_open("/nonexistent/board", &problem);
	assert_non_null(b);
	assert_non_null(problem);
	board_add(b, COUNT_drained_orders_total, 2);
	assert_int_equal(board_read(b, COUNT_drained_orders_total), 2);
	board_close(b);
}

/* Else who may write in the directory could have a program of root's write anywhere. */
static void no_shared_file_is_behind_a_link(void **state)
{
	(void)state;
	char target[80], got[32] = "";
	const char *problem = NULL;
	snprintf(target, sizeof target, "%s/target", folder);
	FILE *f = fopen(target, "w+");
	assert_non_null(f);
	fputs("not ours", f);
	fflush(f);
	assert_int_equal(symlink(target, path), 0);
	board_close(board_open(path, &problem));
	assert_non_null(problem);
	problem = NULL;
	marks_close(marks_open(path, &problem));
	assert_non_null(problem);
	rewind(f);
	assert_int_equal(fread(got, 1, sizeof got, f), strlen("not ours"));
	assert_string_equal(got, "not ours");
	fclose(f);
	unlink(target);
}

static void metrics_of_one_name_stand_together_and_are_explained(void **state)
{
	(void)state;
	for (int c = 0; c < COUNTERS; c++) {
		const char *name = board_name(c), *labels = board_labels(c), *mark = strstr(name, "__");
		size_t n = mark ? (size_t)(mark - name) : strlen(name);
		bool first = c == 0 || strncmp(board_name(c - 1), name, n) != 0;
		expect(first == (*board_help(c) != '\0'), "%s", name);
		expect((*labels == '{') == (mark != NULL), "%s", name);
		for (int before = 0; first && before < c; before++)
			expect(strncmp(board_name(before), name, n) != 0 || board_name(before)[n] != '_',
			       "%s stands apart from %s", name, board_name(before));
	}
}

/* The log */

static char logged[8192];

/* Runs what is in the braces with standard error in a pipe. */
static int saved, ends[2];

static void capture(void)
{
	fflush(stderr);
	assert_int_equal(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
}

static const char *captured(void)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	ssize_t n = read(ends[0], logged, sizeof logged - 1);
	close(ends[0]);
	logged[n > 0 ? n : 0] = '\0';
	return logged;
}

static void a_line_is_time_level_event_pairs(void **state)
{
	(void)state;
	char wanted[128];
	capture();
	log_warn("cup_spilled", LOG_INT("drops", -12), LOG_TEXT("who", "bob"), LOG_STR("empty", STR("")));
	const char *line = captured();
	snprintf(wanted, sizeof wanted, "Z warn cup_spilled pid=%d drops=-12 who=bob empty=\n", (int)getpid());
	assert_string_equal(line + 23, wanted);
	assert_memory_equal(line, "20", 2);
}

static void an_event_needs_no_pairs(void **state)
{
	(void)state;
	char wanted[64];
	capture();
	log_info("started");
	captured();
	snprintf(wanted, sizeof wanted, "Z info started pid=%d\n", (int)getpid());
	assert_string_equal(logged + 23, wanted);
}

static void values_cannot_forge_lines_or_pairs(void **state)
{
	(void)state;
	static const struct {
		struct str value;
		const char *escaped;
	} rows[] = {
		{ BYTES("plain-Text_1.2/3:4|5"), "plain-Text_1.2/3:4|5" },
		{ BYTES("a b"), "a\\x20b" },
		{ BYTES("x\n2026 error forged"), "x\\x0a2026\\x20error\\x20forged" },
		{ BYTES("\r\t\0\x7f"), "\\x0d\\x09\\x00\\x7f" },
		{ BYTES("user=root"), "user\\x3droot" },
		{ BYTES("\"q\""), "\\x22q\\x22" },
		{ BYTES("\\x41"), "\\x5cx41" },
		{ BYTES("\xe4\xbd\xa0"), "\\xe4\\xbd\\xa0" },
		{ BYTES("\x1b[31m"), "\\x1b[31m" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		capture();
		log_info("e", LOG_STR("v", rows[i].value));
		const char *value = strstr(captured(), " v=");
		assert_non_null(value);
		logged[strlen(logged) - 1] = '\0';
		assert_string_equal(value + 3, rows[i].escaped);
	}
}

static void long_lines_are_cut_and_still_end(void **state)
{
	(void)state;
	static char huge[5000];
	memset(huge, '\n', sizeof huge);
	capture();
	log_error("e", LOG_STR("a", ((struct str){ huge, sizeof huge })), LOG_INT("b", 1), LOG_TEXT("c", "d"));
	size_t n = strlen(captured());
	assert_int_equal(n, 2048);
	assert_ptr_equal(strchr(logged, '\n'), logged + n - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(counters_of_processes_add_up, remove_board),
		cmocka_unit_test_teardown(a_killed_process_leaves_its_counts_and_its_row, remove_board),
		cmocka_unit_test_teardown(a_gauge_is_the_highest_of_the_living, remove_board),
		cmocka_unit_test_teardown(more_processes_than_rows_still_count, remove_board),
		cmocka_unit_test_teardown(a_file_of_another_layout_is_replaced, remove_board),
		cmocka_unit_test(without_a_file_a_process_counts_alone),
		cmocka_unit_test_teardown(no_shared_file_is_behind_a_link, remove_board),
		cmocka_unit_test(metrics_of_one_name_stand_together_and_are_explained),
		cmocka_unit_test(a_line_is_time_level_event_pairs),
		cmocka_unit_test(an_event_needs_no_pairs),
		cmocka_unit_test(values_cannot_forge_lines_or_pairs),
		cmocka_unit_test(long_lines_are_cut_and_still_end),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
