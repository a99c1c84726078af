/* RFC 3339 section 5.6, without leap seconds (second 60 is refused). */
#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

static const int64_t LAST_MS = 253402300799999; /* 9999-12-31T23:59:59.999Z */

static int64_t read_ms(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t clock_mono_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_offset_ms(void)
{
	int64_t before, wall, after;
	do { /* again, if this process was suspended between the two readings */
		before = read_ms(CLOCK_MONOTONIC);
		wall = read_ms(CLOCK_REALTIME);
		after = read_ms(CLOCK_MONOTONIC);
	} while (after - before > 1);
	return wall - before;
}

void clock_format(char text[CLOCK_TEXT], int64_t ms)
{
	ms = ms < 0 ? 0 : ms > LAST_MS ? LAST_MS : ms;
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	size_t n = strftime(text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	unsigned milli = (unsigned)(ms % 1000);
	memcpy(text + n,
	       (char[]){ '.', (char)('0' + milli / 100), (char)('0' + milli / 10 % 10), (char)('0' + milli % 10), 'Z',
			 0 },
	       6);
}

/* Reads a number of a fixed width at *p; -1: not all characters are digits. */
static int read_digits(const char **p, const char *end, int width)
{
	int value = 0;
	for (int i = 0; i < width; i++, (*p)++) {
		if (*p >= end || **p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

static bool skip_any(const char **p, const char *end, const char *any)
{
	if (*p >= end || !**p || !strchr(any, **p))
		return false;
	(*p)++;
	return true;
}

static bool read_fraction(const char **p, const char *end, int *ms)
{
	*ms = 0;
	if (!skip_any(p, end, "."))
		return true;
	int scale = 100, digits = 0;
	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, digits++, scale /= 10)
		*ms += (**p - '0') * scale;
	return digits > 0;
}

static bool read_offset(const char **p, const char *end, int *minutes)
{
	*minutes = 0;
	if (skip_any(p, end, "Zz"))
		return true;
	if (*p >= end)
		return false;
	int sign = **p == '-' ? -1 : 1;
	if (!skip_any(p, end, "+-"))
		return false;
	int hour = read_digits(p, end, 2);
	if (!skip_any(p, end, ":"))
		return false;
	int minute = read_digits(p, end, 2);
	*minutes = sign * (hour * 60 + minute);
	return hour >= 0 && hour < 24 && minute >= 0 && minute < 60;
}

static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

bool clock_parse(struct str text, int64_t *ms)
{
	const char *p = text.p, *end = text.p + text.n;
	int year = read_digits(&p, end, 4);
	bool ok = skip_any(&p, end, "-");
	int month = read_digits(&p, end, 2);
	ok = ok && skip_any(&p, end, "-");
	int day = read_digits(&p, end, 2);
	ok = ok && skip_any(&p, end, "Tt ");
	int hour = read_digits(&p, end, 2);
	ok = ok && skip_any(&p, end, ":");
	int minute = read_digits(&p, end, 2);
	ok = ok && skip_any(&p, end, ":");
	int second = read_digits(&p, end, 2);
	int milli, minutes;
	ok = ok && read_fraction(&p, end, &milli) && read_offset(&p, end, &minutes) && p == end;
	if (!ok || year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return false;
	struct tm tm = { .tm_year = year - 1900,
			 .tm_mon = month - 1,
			 .tm_mday = day,
			 .tm_hour = hour,
			 .tm_min = minute,
			 .tm_sec = second };
	int64_t time = ((int64_t)timegm(&tm) - (int64_t)minutes * 60) * 1000 + milli;
	if (time < 0 || time > LAST_MS) /* with its offset, the time may be outside the years that can be written */
		return false;
	*ms = time;
	return true;
}
