/*
 * The hub and every segment carry a fence, "[LAYOUT:]GENERATION@RUN": which
 * fields the slot has, which numbers they hold, and in which life of a server
 * these are known to be whole. All scripts compare it first, so nothing is sold
 * from a slot that another server took over, or that came back from a disk,
 * until inspect.c has looked at it; and nothing at all behind "GENERATION!",
 * which is closed until recover.c has made the numbers right again. While it is
 * looked at it is held, "GENERATION@?MS.CHANCE": that is no life, so nothing
 * moves, and who wrote it knows by it that nobody came in between.
 *
 * Layouts: 0 had a field "gen" and no fence; an inspection gives such a slot
 * the fence "GENERATION@", which lua/upgrade.lua writes. 1, the present one, is
 * not written into the fence. Later ones are, so that this program refuses them.
 */
#ifndef SALE_FENCE_H
#define SALE_FENCE_H

#include "base/marks.h"
#include "sale/coupon.h"
#include "sale/key.h"

enum { LAYOUT = 1 };

/* Behind the generation of a slot that stray.c has closed: an inspection, which asks MySQL first, looks at it again. */
#define FENCE_STRAY "!stray"

enum fence {
	FENCE_OTHER,  /* of another generation: the coupon must be read anew */
	FENCE_DOUBT,  /* ours, in another life or held: inspect_coupon decides */
	FENCE_CLOSED, /* closed, gone, or of another layout */
};

/* What a slot's fence, as {'FENCED', fence} tells it, means to who came with this generation. */
enum fence fence_read(struct str fence, int64_t generation);

/* The generation of a fence; 0 when it has none, or when it is of another layout. */
int64_t fence_generation(struct str fence);

/* The layout of a slot that has this fence. */
int64_t fence_layout(struct str fence);

/* Asks for inspection. Does not wait; should it be lost, the next claim asks again. */
void fence_doubt(struct redis *r, int64_t coupon, int segments);

/* Closes a slot (KEY_HUB or KEY_SEGMENT) in which something was seen that cannot be, and asks for inspection. */
void fence_close(struct redis *r, const struct coupon *c, enum key key, int segment);

/* Words of a fence command, for who waits for the answer: from the fence expected ("": any) to open, closed or held. */
void fence_open_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			int64_t generation);
void fence_close_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			 int64_t generation);

/* The fence of a slot that this process holds from now on; no other one is like it. */
void fence_hold_text(char text[KEY_TEXT], int64_t generation);

/* When a slot was taken hold of, by the clock of who did; 0: it is not held. */
int64_t fence_held_ms(struct str fence);

void fence_hold_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			struct str hold);

/* The mark of a segment's sequence: the highest order that this host was told of. May be NULL. */
mark *fence_mark(struct marks *m, const struct coupon *c, int segment);

#endif
