/*
 * The numbers that hub and segments of a coupon hold, as values. One command reads one slot, so the numbers of one slot
 * are of one moment, but the numbers of two slots are of two moments. Nothing here waits: the caller sends the command,
 * and passes its reply. Slots of layouts before 2 can be read, too.
 */
#ifndef SALE_SLOT_H
#define SALE_SLOT_H

#include "sale/state.h"

struct slot_segment {
	struct str fence; /* "": there is no such slot; "@": the slot has layout 0, without a fence */
	int64_t left, sold;
	int64_t last;           /* the highest order number */
	int64_t received, sent; /* I and O: totals of units from the hub and back to it */
	int64_t base, term;     /* the segment's base; the hub's term, as the segment has it */
	struct steering steering;
};

/* What the hub holds of one segment. */
struct slot_share {
	int64_t granted, taken; /* G and R: totals of units to the segment and back from it */
	int64_t base;           /* B: the segment's base, as the hub has it */
	bool is_empty;          /* the segment reported that it holds nothing, and was granted nothing since */
	char reported; /* '1': the segment has reported in the hub's present term; '0': not; 0: the field is missing */
};

struct slot_hub {
	struct str fence; /* as in struct slot_segment */
	int64_t amount, cancelled, withdrawn, skipped, avail;
	int64_t asked, missed;          /* units that the seller has wanted back; of these, units that were not found */
	int64_t final, final_cancelled; /* of a sale with pay_within, as in coupons */
	bool pays;                      /* it is such a sale */
	int64_t term, epoch;
	bool sold_out;
	struct steering steering;
	bool is_opening;           /* no longer sold out, but sold-out notices of workers may still be valid */
	struct slot_share *shares; /* of each segment */
};

/*
 * Build the command that reads a slot, and read its reply into *out, with memory in the arena. Numbers are from
 * -NUMBER_MAX to NUMBER_MAX; a missing or unreadable one becomes `absent` in a segment and 0 in a hub. A reply of NULL
 * is read as a slot without fields.
 */
void slot_segment_command(struct redis_command *c, int64_t coupon, int segment);
void slot_segment_read(struct arena *a, const struct redis_reply *reply, int64_t absent, struct slot_segment *out);

void slot_hub_command(struct redis_command *c, int64_t coupon);
void slot_hub_read(struct arena *a, const struct redis_reply *reply, int segments, struct slot_hub *out);

#endif
