/* A line is built on the stack and written at once, so lines of several processes never mix. */
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE = 2048 };

struct line {
	char text[LINE];
	size_t n;
};

static void put(struct line *l, const char *p, size_t n)
{
	if (n > LINE - 1 - l->n)
		n = LINE - 1 - l->n;
	memcpy(l->text + l->n, p, n);
	l->n += n;
}

static void put_escaped(struct line *l, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=') {
			put(l, s.p + i, 1);
		} else {
			char code[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
			put(l, code, 4);
		}
	}
}

static log_sink *sink;

void log_to(log_sink *to)
{
	sink = to;
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
	int n = snprintf(l.text, LINE, "%s %s %s pid=%d", text, level, event, (int)getpid());
	l.n = (size_t)n;
	for (; pairs->key; pairs++) {
		put(&l, " ", 1);
		put(&l, pairs->key, strlen(pairs->key));
		put(&l, "=", 1);
		if (pairs->text.p) {
			put_escaped(&l, pairs->text);
		} else {
			char number[24];
			n = snprintf(number, sizeof number, "%lld", pairs->number);
			put(&l, number, (size_t)n);
		}
	}
	l.text[l.n++] = '\n';
	ssize_t written = write(STDERR_FILENO, l.text, l.n);
	(void)written; /* nobody is left to tell */
}
