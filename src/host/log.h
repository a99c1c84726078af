/*
 * One line an event on standard error: time, level, event, then key=value
 * pairs. Values may be an attacker's: every byte that is not plain printable
 * text, and every space, quote and backslash, is escaped as \xNN.
 *
 * After log_open no line waits for the reader of the log: one that cannot be
 * written at once is dropped and counted, and the next that can be written is
 * followed by a line log_lines_dropped with the total.
 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include "base/str.h"

struct stats;

/* Called once, before the first line. Changes nothing for other processes that share standard error. */
void log_open(void);
/* Where dropped lines are counted from now on; NULL: nowhere. */
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

/* The event is a constant word; up to 12 pairs follow. One write(2), lines over 2 KB are cut. */
#define LOG_LINE_(level, event, ...) log_line(level, event, (struct log_pair[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
void log_line(const char *level, const char *event, const struct log_pair *pairs);

/*
 * For what a lasting condition repeats: a line is written once, and while the same line (event and pairs) comes again,
 * once a minute with repeated=N, the number of lines left out since the last one. 256 different lines are told apart;
 * while there are more, one of the others a second is written. Not for two threads.
 */
#define log_error_limited(...) LOG_LIMITED_("error", __VA_ARGS__)
#define log_warn_limited(...)  LOG_LIMITED_("warn", __VA_ARGS__)
#define LOG_LIMITED_(level, event, ...)                                                                                \
	log_line_limited(level, event, (struct log_pair[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
void log_line_limited(const char *level, const char *event, const struct log_pair *pairs);

/* From now on lines go to this function, not to standard error: for a program that talks to a person. */
typedef void log_sink(const char *event, const struct log_pair *pairs);
void log_to(log_sink *sink);

#endif
