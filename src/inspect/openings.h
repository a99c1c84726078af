/*
 * Hubs that had declared the sale sold out and have units again. A worker's sold-out notice is valid for
 * SOLD_OUT_NOTICE_MS, and is not renewed once the hub has a higher epoch. If a segment were opened earlier, one
 * customer would get a unit while another is refused. So this table keeps since when each hub has had its epoch, by
 * this host's monotonic clock; Redis has only a clock that may be set.
 */
#ifndef INSPECT_OPENINGS_H
#define INSPECT_OPENINGS_H

#include "base/table.h"

/* Zeroed memory is an empty table. */
struct openings {
	struct table by_coupon;
};

void openings_release(struct openings *o);

/*
 * Notes that this process saw the hub in this epoch at seen_ms (clock_mono_ms). Returns the time at which it first saw
 * the hub in this epoch.
 */
int64_t openings_note(struct openings *o, int64_t coupon, int64_t epoch, int64_t seen_ms);

void openings_forget(struct openings *o, int64_t coupon);

#endif
