/*
 * A line is built on the stack and written by one write(2), so lines of several processes never mix: LINE is below
 * PIPE_BUF.
 *
 * O_NONBLOCK is a property of the open file description, which this process shares with others. Therefore a pipe or a
 * terminal is opened again, which gives a description of our own. A socket cannot be opened again, but has
 * MSG_DONTWAIT. A regular file needs neither; if it were opened again, it would be written from its beginning.
 */
#include "host/log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/stats.h"

enum { LINE = 2048 };

static int out = STDERR_FILENO;
static ssize_t write_plain(const void *p, size_t n);
static ssize_t (*write_line)(const void *p, size_t n) = write_plain;
static struct stats *stats;
static long long dropped, reported;
static bool is_torn; /* only a part of the last line was written */

struct line {
	char text[LINE];
	size_t n;
};

static void line_put(struct line *l, const char *p, size_t n)
{
	if (n > LINE - 1 - l->n)
		n = LINE - 1 - l->n;
	memcpy(l->text + l->n, p, n);
	l->n += n;
}

static void line_put_escaped(struct line *l, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=') {
			line_put(l, s.p + i, 1);
		} else {
			char code[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
			line_put(l, code, 4);
		}
	}
}

static log_sink *sink;

void log_to(log_sink *to)
{
	sink = to;
}

static ssize_t write_plain(const void *p, size_t n)
{
	return write(out, p, n);
}

static ssize_t write_socket(const void *p, size_t n)
{
	return send(out, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* For a pipe that cannot be opened, because another user made it. May block if another process fills it after poll. */
static ssize_t write_polled(const void *p, size_t n)
{
	struct pollfd room = { .fd = out, .events = POLLOUT };
	return poll(&room, 1, 0) == 1 ? write(out, p, n) : -1;
}

void log_open(void)
{
	struct stat st;
	if (fstat(STDERR_FILENO, &st) < 0 || S_ISREG(st.st_mode))
		return;
	if (S_ISSOCK(st.st_mode)) {
		write_line = write_socket;
		return;
	}
	int own = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		write_line = write_polled;
	else
		out = own;
}

void log_count(struct stats *b)
{
	stats = b;
}

/* Counts dropped lines. The first line that is written afterwards is followed by their number. */
static void end_line(ssize_t written, size_t n)
{
	if (written != (ssize_t)n) {
		dropped++;
		is_torn |= written > 0;
		if (stats)
			stats_add(stats, COUNT_log_lines_dropped_total, 1);
		return;
	}
	is_torn = false;
	if (dropped == reported)
		return;
	reported = dropped;
	log_warn("log_lines_dropped", LOG_INT("total", dropped));
}

void log_line(const char *level, const char *event, const struct log_pair *pairs)
{
	struct line l = { .n = 0 };
	char text[CLOCK_TEXT];
	if (sink) {
		sink(event, pairs);
		return;
	}
	clock_format(text, clock_ms());
	int n = snprintf(l.text, LINE, "%s%s %s %s pid=%d", is_torn ? "\n" : "", text, level, event, (int)getpid());
	l.n = (size_t)n;
	for (; pairs->key; pairs++) {
		line_put(&l, " ", 1);
		line_put(&l, pairs->key, strlen(pairs->key));
		line_put(&l, "=", 1);
		if (pairs->text.p) {
			line_put_escaped(&l, pairs->text);
		} else {
			char number[24];
			n = snprintf(number, sizeof number, "%lld", pairs->number);
			line_put(&l, number, (size_t)n);
		}
	}
	l.text[l.n++] = '\n';
	end_line(write_line(l.text, l.n), l.n);
}
