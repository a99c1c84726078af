/* What processes of a host share: stats and the high-water table in mapped files; permits; and the log. */
#include "unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "host/high_water.h"
#include "host/log.h"
#include "host/permit.h"
#include "host/shared.h"
#include "host/stats.h"

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

static struct stats *opened(void)
{
	const char *problem;
	struct stats *b = stats_open(path, &problem);
	assert_non_null(b);
	expect(!problem, "%s", problem);
	return b;
}

/* A process that counts n orders and then closes its stats, or is killed. */
static pid_t child(uint64_t n, bool killed)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	const char *problem;
	struct stats *b = stats_open(path, &problem);
	for (uint64_t i = 0; i < n; i++)
		stats_add(b, COUNT_drained_orders_total, 1);
	stats_set(b, COUNT_drain_queue_orders, n);
	if (killed)
		raise(SIGKILL);
	stats_close(b);
	_exit(0);
}

static void counters_of_processes_add_up(void **state)
{
	(void)state;
	struct stats *b = opened();
	pid_t one = child(100000, false), two = child(50000, false);
	stats_add(b, COUNT_drained_orders_total, 7);
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
	assert_int_equal(stats_read(b, COUNT_drained_orders_total), 150007);
	assert_int_equal(stats_read(b, COUNT_drained_batches_total), 0);
	stats_close(b);
	b = opened();
	assert_int_equal(stats_read(b, COUNT_drained_orders_total), 150007);
	stats_close(b);
}

static void a_killed_process_leaves_its_counts_and_its_row(void **state)
{
	(void)state;
	struct stats *b = opened();
	uint64_t last = 0;
	/* more deaths than there are rows: without reuse they would run out */
	for (int i = 1; i <= 600; i++) {
		waitpid(child(3, true), NULL, 0);
		uint64_t now = stats_read(b, COUNT_drained_orders_total);
		expect(now == last + 3, "death %d: %llu", i, (unsigned long long)now);
		last = now;
	}
	stats_close(b);
}

/* Every drainer sees the same queue: the highest value of the living processes counts. */
static void a_gauge_is_the_highest_of_the_living(void **state)
{
	(void)state;
	struct stats *b = opened(), *other = opened();
	stats_set(b, COUNT_drain_queue_orders, 5);
	stats_set(other, COUNT_drain_queue_orders, 8);
	assert_int_equal(stats_read(b, COUNT_drain_queue_orders), 8);
	waitpid(child(20, true), NULL, 0);
	assert_int_equal(stats_read(b, COUNT_drain_queue_orders), 8);
	stats_close(other);
	assert_int_equal(stats_read(b, COUNT_drain_queue_orders), 5);
	waitpid(child(10, false), NULL, 0); /* takes over the row of the dead one, and ends */
	assert_int_equal(stats_read(b, COUNT_drain_queue_orders), 5);
	assert_int_equal(stats_read(b, COUNT_drained_orders_total), 30);
	stats_close(b);
}

static void more_processes_than_rows_still_count(void **state)
{
	(void)state;
	enum { MANY = 260 };
	struct stats *boards[MANY];
	for (int i = 0; i < MANY; i++) {
		boards[i] = opened();
		stats_add(boards[i], COUNT_drained_orders_total, 1);
	}
	assert_int_equal(stats_read(boards[0], COUNT_drained_orders_total), MANY);
	for (int i = 0; i < MANY; i++)
		stats_close(boards[i]);
}

static void a_file_of_another_layout_is_replaced(void **state)
{
	(void)state;
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("something else", f);
	fclose(f);
	struct stats *b = opened();
	assert_int_equal(stats_read(b, COUNT_drained_orders_total), 0);
	stats_add(b, COUNT_drained_orders_total, 1);
	assert_int_equal(stats_read(b, COUNT_drained_orders_total), 1);
	stats_close(b);
}

/* A process that counts one order on a signal: the end of the pipe. */
static pid_t starter(const int gate[2])
{
	pid_t pid = fork();
	char byte;
	if (pid)
		return pid;
	close(gate[1]);
	if (read(gate[0], &byte, 1) != 0)
		_exit(1);
	const char *problem;
	struct stats *b = stats_open(path, &problem);
	stats_add(b, COUNT_drained_orders_total, 1);
	_exit(problem ? 1 : 0);
}

static void put_file(const char *bytes, size_t n, off_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && ftruncate(fd, size) == 0);
	close(fd);
}

static void processes_that_replace_a_board_at_once_share_the_new_one(void **state)
{
	(void)state;
	enum { ROUNDS = 300, MANY = 3 };
	for (int round = 0; round < ROUNDS; round++) {
		int gate[2], status;
		pid_t pids[MANY];
		if (round % 2)
			put_file("an old board", 12, 5000);
		else
			unlink(path);
		assert_int_equal(pipe(gate), 0);
		for (int i = 0; i < MANY; i++)
			pids[i] = starter(gate);
		close(gate[1]);
		for (int i = 0; i < MANY; i++) {
			waitpid(pids[i], &status, 0);
			assert_int_equal(status, 0);
		}
		close(gate[0]);
		struct stats *b = opened();
		uint64_t sum = stats_read(b, COUNT_drained_orders_total);
		stats_close(b);
		expect(sum == MANY, "round %d: %llu of %d counted", round, (unsigned long long)sum, MANY);
	}
}

static void who_only_joins_makes_nothing_and_replaces_nothing(void **state)
{
	(void)state;
	const char *problem;
	stats_close(stats_join(path, &problem));
	assert_string_equal(problem, "No such file or directory");
	assert_int_equal(access(path, F_OK), -1);
	put_file("an old board", 12, 5000);
	stats_close(stats_join(path, &problem));
	assert_non_null(problem);
	struct stat st;
	assert_true(stat(path, &st) == 0 && st.st_size == 5000);
	stats_close(opened());
	struct stats *b = stats_join(path, &problem);
	assert_null(problem);
	stats_add(b, COUNT_drained_orders_total, 1);
	stats_close(b);
}

static void a_board_that_is_gone_or_another_one_is_a_problem(void **state)
{
	(void)state;
	struct stats *b = opened();
	assert_null(stats_problem(b));
	unlink(path);
	assert_non_null(stats_problem(b));
	struct stats *other = opened();
	assert_non_null(stats_problem(b));
	assert_null(stats_problem(other));
	stats_close(other);
	stats_close(b);
}

static void only_a_file_is_replaced(void **state)
{
	(void)state;
	const char *problem;
	assert_int_equal(mkfifo(path, 0600), 0);
	stats_close(stats_open(path, &problem));
	assert_string_equal(problem, "it is not a regular file");
	struct stat st;
	assert_true(stat(path, &st) == 0 && S_ISFIFO(st.st_mode));
}

static void the_directorys_owner_must_be_able_to_write_a_file(void **state)
{
	(void)state;
	put_file("", 0, 0);
	assert_null(shared_owner_problem(path));
	assert_null(shared_owner_problem("/nonexistent/board"));
	if (getuid() != 0)
		return;
	assert_int_equal(chown(folder, 65534, 65534), 0);
	assert_non_null(shared_owner_problem(path));
	assert_int_equal(chown(path, 0, 65534), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_non_null(shared_owner_problem(path));
	assert_int_equal(chmod(path, 0660), 0);
	assert_null(shared_owner_problem(path));
	assert_int_equal(chown(folder, 0, 0), 0);
}

/* The high-water table */

enum { MARKS_BYTES = 1 << 22, KEY = 12345 };

static struct high_water *opened_marks(void)
{
	const char *problem;
	struct high_water *m = high_water_open(path, &problem);
	expect(!problem, "%s", problem);
	return m;
}

static off_t allocated(void)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_blocks * 512;
}

static void marks_are_kept_and_have_their_blocks(void **state)
{
	(void)state;
	struct high_water *m = opened_marks();
	assert_true(allocated() >= MARKS_BYTES);
	assert_int_equal(high_water_read(m, KEY), 0);
	assert_int_equal(high_water_count(m), 0); /* reading takes no place */
	assert_true(high_water_raise(m, KEY, 77));
	assert_true(high_water_raise(m, KEY, 76));
	high_water_close(m);
	m = opened_marks();
	assert_int_equal(high_water_read(m, KEY), 77);
	assert_int_equal(high_water_count(m), 1);
	assert_true(high_water_raise(m, KEY, NUMBER_MAX));
	assert_true(high_water_read(m, KEY) == NUMBER_MAX);
	high_water_close(m);
}

static void a_mark_gives_its_place_back(void **state)
{
	(void)state;
	struct high_water *m = opened_marks();
	for (int round = 1; round < 5000; round++) { /* versions wrap around */
		assert_true(high_water_raise(m, KEY, round));
		high_water_drop(m, KEY, round - 1);
		assert_int_equal(high_water_read(m, KEY), round);
		high_water_drop(m, KEY, round);
		assert_int_equal(high_water_read(m, KEY), 0);
	}
	assert_int_equal(high_water_count(m), 0);
	assert_true(high_water_raise(NULL, KEY, 1));
	high_water_drop(NULL, KEY, 1);
	assert_int_equal(high_water_read(NULL, KEY), 0);
	high_water_close(m);
}

/* A full table refuses a key; its places can be taken again when they are given back. */
static void a_table_that_is_full_says_so(void **state)
{
	(void)state;
	struct high_water *m = opened_marks();
	uint64_t key = HIGH_WATER_KEY_MIN, there;
	int64_t value, refused = 0;
	for (; high_water_count(m) < HIGH_WATER_MAX; key += HIGH_WATER_MAX / 2)
		for (int i = 0; i < HIGH_WATER_MAX / 2; i++)
			refused += !high_water_raise(m, key + (uint64_t)i, (int64_t)key + i);
	assert_true(refused > 0);
	assert_false(high_water_raise(m, key + HIGH_WATER_MAX, 1));
	assert_int_equal(high_water_read(m, key + HIGH_WATER_MAX), 0);
	int seen = 0;
	for (size_t at = 0; high_water_next(m, &at, &there, &value); seen++) {
		assert_int_equal(there, value);
		high_water_drop(m, there, value);
	}
	assert_int_equal(seen, HIGH_WATER_MAX);
	assert_int_equal(high_water_count(m), 0);
	assert_true(high_water_raise(m, key, 1));
	high_water_close(m);
}

enum { RACERS = 4, RACED_KEYS = 3, RACES = 1000000 };

/* Keys in adjacent places. */
static void collide(uint64_t keys[RACED_KEYS])
{
	int found = 0;
	for (uint64_t key = HIGH_WATER_KEY_MIN; found < RACED_KEYS; key++)
		if (key * 0x9e3779b97f4a7c15 >> 46 == 4711)
			keys[found++] = key;
}

/* Raises and drops in turn; whatever is read must be a number of that key, and one that was raised is there or dropped.
 */
static int race(int me)
{
	uint64_t keys[RACED_KEYS];
	struct high_water *m = opened_marks();
	collide(keys);
	for (int64_t i = 1; i <= RACES; i++) {
		int k = (int)((i + me) % RACED_KEYS);
		int64_t read, mine = (i * RACERS + me) * RACED_KEYS + k;
		if (!high_water_raise(m, keys[k], mine))
			return 1;
		read = high_water_read(m, keys[k]);
		if (read && read % RACED_KEYS != k)
			return 2;
		if (i % 3 == 0)
			high_water_drop(m, keys[k], mine);
	}
	high_water_close(m);
	return 0;
}

static void marks_of_one_place_never_get_anothers_value(void **state)
{
	(void)state;
	uint64_t keys[RACED_KEYS];
	struct high_water *m = opened_marks();
	pid_t pids[RACERS];
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(race(i));
	}
	for (int i = 0; i < RACERS; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	collide(keys);
	for (int k = 0; k < RACED_KEYS; k++)
		high_water_drop(m, keys[k], NUMBER_MAX);
	assert_int_equal(high_water_count(m), 0);
	high_water_close(m);
}

/* One process raises a mark, another one drops what the first has passed, and takes the place: the last raise is there.
 */
static void a_raise_beside_a_drop_is_not_lost(void **state)
{
	(void)state;
	_Atomic int64_t *passed = mmap(NULL, sizeof *passed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(passed, MAP_FAILED);
	struct high_water *m = opened_marks();
	uint64_t keys[RACED_KEYS];
	collide(keys);
	pid_t other = fork();
	if (other == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (other == 0 && *passed < RACES) {
		high_water_drop(m, keys[0], *passed);
		high_water_raise(m, keys[1], 1);
		high_water_drop(m, keys[1], 1);
	}
	if (other == 0)
		_exit(0);
	for (int64_t i = 1; i <= RACES; i++) {
		assert_true(high_water_raise(m, keys[0], i));
		time_t began = time(NULL);
		while (high_water_read(m, keys[0]) < i) /* the other one gives it back, and sees that it was raised */
			assert_true(time(NULL) - began < 10);
		*passed = i;
	}
	assert_int_equal(waitpid(other, NULL, 0), other);
	high_water_close(m);
	munmap((void *)passed, sizeof *passed);
}

/* Versions 1 and 2 had other keys. */
static void marks_of_earlier_versions_are_replaced(void **state)
{
	(void)state;
	const char *problem;
	static const uint64_t version_2 = 0x736b6d61726b0002;
	for (int has_magic = 0; has_magic < 2; has_magic++) {
		put_file("something", 9, MARKS_BYTES);
		int fd = open(path, O_WRONLY);
		if (has_magic)
			assert_int_equal(pwrite(fd, &version_2, sizeof version_2, MARKS_BYTES), sizeof version_2);
		close(fd);
		high_water_close(high_water_join(path, &problem));
		assert_non_null(problem);
		struct high_water *m = opened_marks();
		assert_int_equal(high_water_count(m), 0);
		assert_true(allocated() >= MARKS_BYTES);
		high_water_close(m);
	}
}

/* Sparse, like a copy by cp. */
static void marks_get_their_blocks(void **state)
{
	(void)state;
	const char *problem;
	for (int joins = 0; joins < 2; joins++) {
		static const uint64_t magic = 0x736b6d61726b0003;
		put_file("", 0, MARKS_BYTES);
		int fd = open(path, O_WRONLY);
		assert_int_equal(pwrite(fd, &magic, sizeof magic, MARKS_BYTES), sizeof magic);
		close(fd);
		assert_true(allocated() < MARKS_BYTES);
		struct high_water *m = (joins ? high_water_join : high_water_open)(path, &problem);
		assert_null(problem);
		assert_true(allocated() >= MARKS_BYTES);
		high_water_close(m);
	}
}

static void marks_of_another_layout_are_refused_and_left_alone(void **state)
{
	(void)state;
	const char *problem;
	static const off_t sizes[] = { 12, MARKS_BYTES - 16, MARKS_BYTES + 8, MARKS_BYTES + 4096 };
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		put_file("something el", 12, sizes[i]);
		struct high_water *m = high_water_open(path, &problem);
		expect(problem, "%lld bytes", (long long)sizes[i]);
		assert_true(high_water_raise(m, KEY, 5));
		assert_int_equal(high_water_read(m, KEY), 5);
		high_water_close(m);
		struct stat st;
		assert_true(stat(path, &st) == 0 && st.st_size == sizes[i]);
	}
}

static void without_a_file_a_process_counts_alone(void **state)
{
	(void)state;
	const char *problem = NULL;
	struct stats *b = stats_open("/nonexistent/board", &problem);
	assert_non_null(b);
	assert_non_null(problem);
	stats_add(b, COUNT_drained_orders_total, 2);
	assert_int_equal(stats_read(b, COUNT_drained_orders_total), 2);
	stats_close(b);
}

/* Else a user who may write in the directory could make a program of root write anywhere. */
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
	stats_close(stats_open(path, &problem));
	assert_non_null(problem);
	problem = NULL;
	high_water_close(high_water_open(path, &problem));
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
		const char *name = stats_name(c), *labels = stats_labels(c), *cut = strstr(name, "__");
		size_t n = cut ? (size_t)(cut - name) : strlen(name);
		bool first = c == 0 || strncmp(stats_name(c - 1), name, n) != 0;
		expect(first == (*stats_help(c) != '\0'), "%s", name);
		expect((*labels == '{') == (cut != NULL), "%s", name);
		for (int before = 0; first && before < c; before++)
			expect(strncmp(stats_name(before), name, n) != 0 || stats_name(before)[n] != '_',
			       "%s stands apart from %s", name, stats_name(before));
	}
}

/* The log */

static char logged[8192];

/* Runs the block with standard error in a pipe. */
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

/* Standard error that nobody reads */

enum { PIPE_SIZE = 4096, LINES = 200 };

static int full_pipe(void)
{
	int pair[2];
	assert_int_equal(pipe2(pair, O_NONBLOCK), 0);
	assert_true(fcntl(pair[1], F_SETPIPE_SZ, PIPE_SIZE) == PIPE_SIZE);
	while (write(pair[1], "x", 1) == 1)
		;
	fcntl(pair[1], F_SETFL, 0);
	return pair[1];
}

static int full_socket(void)
{
	int pair[2];
	static char bytes[2000];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	while (send(pair[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	return pair[1];
}

static int full_disk(void)
{
	return open("/dev/full", O_WRONLY);
}

/* Logs in a process of its own, with fd as standard error. A pipe made by root cannot be opened again by another user.
 */
static void log_into(int fd, uid_t user)
{
	const char *problem;
	struct stats *b = stats_open(path, &problem);
	int flags = fcntl(fd, F_GETFL);
	pid_t pid = fork();
	if (!pid) {
		alarm(10);
		if (dup2(fd, STDERR_FILENO) < 0 || setuid(user) < 0)
			_exit(2);
		log_open();
		log_count(b);
		for (int i = 0; i < LINES; i++)
			log_info("stalled", LOG_INT("i", i));
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(fcntl(fd, F_GETFL), flags);
	assert_int_equal(stats_read(b, COUNT_log_lines_dropped_total), LINES);
	stats_close(b);
	close(fd);
}

static void a_log_that_nobody_reads_stops_nobody(void **state)
{
	(void)state;
	static int (*const kinds[])(void) = { full_pipe, full_socket, full_disk };
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		log_into(kinds[i](), getuid());
		unlink(path);
		log_into(kinds[i](), getuid() ? getuid() : 65534);
		unlink(path);
	}
	stats_close(opened());
}

/* A regular file is appended to, and dropped lines are reported once there is room. */
static void lines_go_on_after_a_stall(void **state)
{
	(void)state;
	int pair[2];
	char text[8192];
	assert_int_equal(pipe(pair), 0);
	assert_true(fcntl(pair[1], F_SETPIPE_SZ, PIPE_SIZE) == PIPE_SIZE);
	pid_t pid = fork();
	if (!pid) {
		alarm(10);
		dup2(pair[1], STDERR_FILENO);
		log_open();
		for (int i = 0; i < LINES; i++)
			log_info("stalled");
		if (read(pair[0], text, sizeof text) < PIPE_SIZE / 2)
			_exit(2);
		log_info("again");
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close(pair[1]);
	ssize_t n = read(pair[0], text, sizeof text - 1);
	close(pair[0]);
	text[n > 0 ? n : 0] = '\0';
	assert_non_null(strstr(text, " info again "));
	assert_non_null(strstr(text, " warn log_lines_dropped "));
}

/* Permits */

enum { PERMITS = 2, WORKERS = 6, TURNS = 50 };

struct work {
	_Atomic int busy, most;
};

static void make_file(void)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
	assert_true(fd >= 0 && close(fd) == 0);
}

static pid_t worker(struct work *v)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	struct permits *p = permits_open(path, PERMITS);
	for (int i = 0; i < TURNS; i++) {
		if (!permit_take(p, 20000))
			_exit(1);
		int busy = atomic_fetch_add(&v->busy, 1) + 1, most = atomic_load(&v->most);
		while (busy > most && !atomic_compare_exchange_weak(&v->most, &most, busy))
			;
		usleep(500);
		atomic_fetch_sub(&v->busy, 1);
		permit_return(p);
	}
	_exit(0);
}

static void no_more_processes_than_permits_are_at_work(void **state)
{
	(void)state;
	struct work *v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[WORKERS];
	make_file();
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker(v);
	for (int i = 0; i < WORKERS; i++) {
		int end;
		waitpid(pids[i], &end, 0);
		expect(end == 0, "worker %d ended with %d: it got no permit", i, end);
	}
	assert_int_equal(atomic_load(&v->most), PERMITS);
	munmap(v, sizeof *v);
}

/* Returns once the child has the permit. */
static pid_t child_with_permit(void)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct permits *p = permits_open(path, 1);
		if (permit_take(p, 10000) && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void the_permit_of_a_killed_process_is_free(void **state)
{
	(void)state;
	make_file();
	struct permits *p = permits_open(path, 1);
	pid_t pid = child_with_permit();
	assert_false(permit_take(p, 10));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(permit_take(p, 10));
	permits_close(p);
}

static void a_permit_is_kept_when_the_file_is_opened_again(void **state)
{
	(void)state;
	make_file();
	struct permits *p = permits_open(path, 1), *other = permits_open(path, 1);
	assert_true(permit_take(p, 10));
	assert_false(permit_take(other, 10));
	permits_close(other);
	other = permits_open(path, 1);
	assert_false(permit_take(other, 10));
	permit_return(p);
	assert_true(permit_take(other, 10));
	permits_close(other);
	permits_close(p);
}

static void without_a_file_there_is_no_bound(void **state)
{
	(void)state;
	struct permits *p = permits_open("/nonexistent/board", 1), *other = permits_open("/nonexistent/board", 1);
	assert_true(permit_take(p, 10));
	assert_true(permit_take(other, 10));
	permit_return(p);
	permits_close(other);
	permits_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(counters_of_processes_add_up, remove_board),
		cmocka_unit_test_teardown(a_killed_process_leaves_its_counts_and_its_row, remove_board),
		cmocka_unit_test_teardown(a_gauge_is_the_highest_of_the_living, remove_board),
		cmocka_unit_test_teardown(more_processes_than_rows_still_count, remove_board),
		cmocka_unit_test_teardown(a_file_of_another_layout_is_replaced, remove_board),
		cmocka_unit_test_teardown(processes_that_replace_a_board_at_once_share_the_new_one, remove_board),
		cmocka_unit_test_teardown(who_only_joins_makes_nothing_and_replaces_nothing, remove_board),
		cmocka_unit_test_teardown(a_board_that_is_gone_or_another_one_is_a_problem, remove_board),
		cmocka_unit_test_teardown(only_a_file_is_replaced, remove_board),
		cmocka_unit_test_teardown(the_directorys_owner_must_be_able_to_write_a_file, remove_board),
		cmocka_unit_test_teardown(marks_are_kept_and_have_their_blocks, remove_board),
		cmocka_unit_test_teardown(a_mark_gives_its_place_back, remove_board),
		cmocka_unit_test_teardown(a_table_that_is_full_says_so, remove_board),
		cmocka_unit_test_teardown(marks_of_one_place_never_get_anothers_value, remove_board),
		cmocka_unit_test_teardown(a_raise_beside_a_drop_is_not_lost, remove_board),
		cmocka_unit_test_teardown(marks_of_earlier_versions_are_replaced, remove_board),
		cmocka_unit_test_teardown(marks_get_their_blocks, remove_board),
		cmocka_unit_test_teardown(marks_of_another_layout_are_refused_and_left_alone, remove_board),
		cmocka_unit_test(without_a_file_a_process_counts_alone),
		cmocka_unit_test_teardown(no_shared_file_is_behind_a_link, remove_board),
		cmocka_unit_test_teardown(no_more_processes_than_permits_are_at_work, remove_board),
		cmocka_unit_test_teardown(the_permit_of_a_killed_process_is_free, remove_board),
		cmocka_unit_test_teardown(a_permit_is_kept_when_the_file_is_opened_again, remove_board),
		cmocka_unit_test(without_a_file_there_is_no_bound),
		cmocka_unit_test(metrics_of_one_name_stand_together_and_are_explained),
		cmocka_unit_test(a_line_is_time_level_event_pairs),
		cmocka_unit_test(an_event_needs_no_pairs),
		cmocka_unit_test(values_cannot_forge_lines_or_pairs),
		cmocka_unit_test(long_lines_are_cut_and_still_end),
		cmocka_unit_test_teardown(a_log_that_nobody_reads_stops_nobody, remove_board),
		cmocka_unit_test(lines_go_on_after_a_stall),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
