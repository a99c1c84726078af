/* Two clocks, one for dates and one for durations; and dates as text, RFC 3339 in UTC with milliseconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "base/str.h"

enum { CLOCK_TEXT = sizeof "2026-01-01T00:00:00.000Z" };

int64_t clock_ms(void);      /* wall clock, milliseconds since 1970 */
int64_t clock_mono_ms(void); /* never goes back; for timeouts and ages */

/*
 * The wall clock minus the monotonic clock. It changes when the wall clock is set, and otherwise by at most two
 * milliseconds.
 */
int64_t clock_offset_ms(void);

/* "2026-01-01T00:00:00.000Z". A time outside the years 1970 to 9999 becomes the nearest time inside. */
void clock_format(char text[CLOCK_TEXT], int64_t ms);

/*
 * Reads any RFC 3339 date-time from 1970 to 9999 UTC, with Z or an offset. False: it is not one, and *ms is not
 * changed.
 */
bool clock_parse(struct str text, int64_t *ms);

#endif
