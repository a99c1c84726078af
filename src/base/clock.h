/* Time: one clock for dates, one for durations, and RFC 3339 (UTC, milliseconds). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "base/str.h"

enum { CLOCK_TEXT = sizeof "2026-01-01T00:00:00.000Z" };

int64_t clock_ms(void);      /* wall clock, milliseconds since 1970 */
int64_t clock_mono_ms(void); /* never goes back; for timeouts and ages */

/* The wall clock less the other one: changes when somebody sets the wall clock, else by a millisecond or two at most.
 */
int64_t clock_offset_ms(void);

/* "2026-01-01T00:00:00.000Z"; from the year 1970 to 9999, nearest to what is outside. */
void clock_format(char text[CLOCK_TEXT], int64_t ms);

/* Any RFC 3339 date-time from 1970 to 9999 UTC, with Z or an offset. False when it is not one; *ms is then untouched.
 */
bool clock_parse(struct str text, int64_t *ms);

#endif
