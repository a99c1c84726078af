/* Only in test builds. FILE is read at each passage, so that a test need not restart a process for a fault. */
#include "host/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/siphash.h"
#include "host/log.h"

enum { SPEC = 200, EXIT_BAD_SPEC = 78 };

static const struct {
	const char *name, *when;
} points[] = {
#define X(name, when) { #name, when },
#include "host/fault.def"
#undef X
};

static struct {
	char text[SPEC], pattern[SPEC];
	void (*act)(int64_t ms);
	int64_t ms, nth, percent, seed, passed;
	unsigned short dice[3];
} spec;

static const char *file; /* NULL: the spec does not change */

static void act_kill(int64_t ms)
{
	(void)ms;
	raise(SIGKILL);
}

static void act_stall(int64_t ms)
{
	struct timespec rest = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
}

static bool parse_action(struct str s)
{
	spec.act = str_eq(s, STR("kill")) ? act_kill : act_stall;
	if (spec.act == act_kill)
		return true;
	return str_starts(s, STR("stall=")) && parse_int((struct str){ s.p + 6, s.n - 6 }, 1, 600000, &spec.ms);
}

static bool parse_when(struct str s)
{
	spec.nth = spec.percent = 0;
	if (s.n && s.p[s.n - 1] == '%')
		return parse_int((struct str){ s.p, s.n - 1 }, 1, 100, &spec.percent);
	return parse_int(s, 1, INT32_MAX, &spec.nth);
}

static bool names_a_point(struct str pattern)
{
	snprintf(spec.pattern, sizeof spec.pattern, "%.*s", (int)pattern.n, pattern.p);
	for (int i = 0; i < FAULT_COUNT; i++)
		if (fnmatch(spec.pattern, points[i].name, 0) == 0)
			return true;
	return false;
}

/* Processes with the same seed must not draw the same numbers. */
static void shuffle(void)
{
	uint8_t key[SIPHASH_KEY] = { 0 };
	pid_t pid = getpid();
	memcpy(key, &spec.seed, sizeof spec.seed);
	uint64_t mixed = siphash(key, &pid, sizeof pid);
	memcpy(spec.dice, &mixed, sizeof spec.dice);
}

static bool parse_spec(struct str text)
{
	struct str rest = text, name, action, when;
	snprintf(spec.text, sizeof spec.text, "%.*s", (int)text.n, text.p);
	spec.passed = 0;
	spec.seed = time(NULL) & INT32_MAX;
	if (!parse_split(&rest, ':', &name) || !parse_split(&rest, ':', &action) || !parse_split(&rest, ':', &when))
		return false;
	if (rest.p && !parse_int(rest, 0, INT32_MAX, &spec.seed))
		return false;
	shuffle();
	return names_a_point(name) && parse_action(action) && parse_when(when);
}

static void set_spec(struct str text)
{
	if (parse_spec(text))
		return;
	log_error("fault_unreadable", LOG_STR("spec", text));
	_exit(EXIT_BAD_SPEC);
}

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("SECKILL_FAULT");
	if (text && *text == '@')
		file = text + 1;
	else if (text && *text)
		set_spec(str_of(text));
}

/* True: the file has a spec. If it differs from the last one, passages are counted from 0 again. */
static bool read_file(void)
{
	char text[SPEC];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	if (strcmp(text, spec.text) != 0)
		set_spec(str_of(text));
	return true;
}

static bool is_due(void)
{
	spec.passed++;
	return spec.percent ? erand48(spec.dice) * 100 < (double)spec.percent : spec.passed == spec.nth;
}

void fault_pass(enum fault point)
{
	if (file && !read_file())
		return;
	if (!spec.text[0] || fnmatch(spec.pattern, points[point].name, 0) != 0 || !is_due())
		return;
	if (file && unlink(file)) /* another process has removed the file and acts */
		return;
	log_warn("fault", LOG_TEXT("point", points[point].name), LOG_TEXT("spec", spec.text),
		 LOG_INT("passage", spec.passed), LOG_INT("seed", spec.seed));
	spec.act(spec.ms);
}

const char *fault_name(enum fault point)
{
	return points[point].name;
}

const char *fault_when(enum fault point)
{
	return points[point].when;
}
