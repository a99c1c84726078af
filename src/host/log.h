/*
 * The log, on standard error: a line for each event, with time, level, event and key=value pairs. A value may come from
 * an attacker, so every byte that is not printable, and every space, quote, backslash and '=', is escaped as \xNN.
 *
 * After log_open, a process does not wait for the reader of its log: a line that cannot be written at once is dropped
 * and counted. The next line that is written is followed by a line log_lines_dropped with the total.
 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include "base/str.h"

struct stats;

/* To be called once, before the first line. Does not affect other processes that share standard error. */
void log_open(void);
/* From now on, dropped lines are counted in these stats; NULL: they are not counted. */
void log_count(struct stats *b);

/* A pair. Text is copied before the call returns. */
struct log_pair {
	const char *key;
	struct str text; /* used when p is not NULL */
	long long number;
};

#define LOG_STR(k, s)  ((struct log_pair){ .key = (k), .text = (s) })
#define LOG_TEXT(k, s) LOG_STR(k, str_of(s))
#define LOG_INT(k, v)  ((struct log_pair){ .key = (k), .number = (long long)(v) })

#define log_error(...) LOG_LINE_("error", __VA_ARGS__)
#define log_warn(...)  LOG_LINE_("warn", __VA_ARGS__)
#define log_info(...)  LOG_LINE_("info", __VA_ARGS__)

/* The event is a constant word, followed by up to 12 pairs. Writes with one write(2); lines over 2 KB are cut. */
#define LOG_LINE_(level, event, ...) log_line(level, event, (struct log_pair[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
void log_line(const char *level, const char *event, const struct log_pair *pairs);

/*
 * For a condition that lasts. A line is written once; while the same line (event and pairs) is repeated, it is written
 * once a minute with repeated=N, the number of lines left out since then. 256 different lines are distinguished; of all
 * further lines, one is written each second. Not for two threads.
 */
#define log_error_limited(...) LOG_LIMITED_("error", __VA_ARGS__)
#define log_warn_limited(...)  LOG_LIMITED_("warn", __VA_ARGS__)
#define LOG_LIMITED_(level, event, ...)                                                                                \
	log_line_limited(level, event, (struct log_pair[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
void log_line_limited(const char *level, const char *event, const struct log_pair *pairs);

/* From now on, lines go to this function in place of standard error, for an interactive program. */
typedef void log_sink(const char *event, const struct log_pair *pairs);
void log_to(log_sink *sink);

#endif
