/*
 * The hub and every segment carry a fence, "LAYOUT:GENERATION@RUN": which
 * fields the slot has, which recovery wrote its numbers, and in which life of a server
 * these are known to be whole. All scripts compare it first, so nothing is sold
 * from a slot that another server took over, or that came back from a disk,
 * until inspect.c has looked at it; and nothing at all behind "GENERATION!",
 * which is closed until recover.c has made the numbers right again.
 *
 * Layouts: 0 had a field "gen" and no fence; the fence of 1 had no layout in it.
 * lua/upgrade.lua brings both to the present one, 2, with the fence
 * "2:GENERATION@", which an inspection looks at. A later one is refused.
 */
#ifndef SALE_FENCE_H
#define SALE_FENCE_H

#include "sale/coupon.h"
#include "sale/key.h"

enum { LAYOUT = 2 };

/* Behind the generation of a slot that stray.c has closed: an inspection, which asks MySQL first, looks at it again. */
#define FENCE_STRAY "!stray"

/*
 * Behind the generation of a slot that a recovery has closed, and then of one that it has written, until it opens both:
 * where these are left, the recovery was cut short, or a failover has lost what it did last.
 */
#define FENCE_RECOVERING "!recover"
#define FENCE_RECOVERED  "!written"

enum fence {
	FENCE_OTHER,       /* of another generation: the coupon must be read anew */
	FENCE_SUSPECT,     /* ours, in another life or held: inspect_coupon decides */
	FENCE_QUARANTINED, /* closed, gone, or of another layout */
};

/* What a slot's fence, as {'FENCED', fence} tells it, means to who came with this generation. */
enum fence fence_read(struct str fence, int64_t generation);

/* The generation of a fence; 0 when it has none, or when it is of another layout. */
int64_t fence_generation(struct str fence);

/* The layout of a slot that has this fence; 0 when it is empty. */
int64_t fence_layout(struct str fence);

/* The fence of this layout and generation, and what is behind it: "@", "!", "!stray", "@0123456789abcdef". */
struct str fence_text(char text[KEY_TEXT], int64_t generation, const char *rest);

/* The life in a fence, or "" when it names none. */
struct str fence_incarnation(struct str fence);

/* Puts, as a word of a command, the fence of a slot that is open in the life of the server that executes it. */
void fence_put(struct redis_command *cmd, int64_t generation);

/* Closes a slot (KEY_HUB or KEY_SEGMENT) in which something was seen that cannot be, and asks for inspection. */
void fence_quarantine(struct redis *r, const struct coupon *c, enum key key, int segment);

/*
 * Words of a command that changes a fence from the one expected ("": any), for who waits for the answer of
 * lua/fence.lua: to another one; to closed; to open in the life of the server that executes it.
 */
void fence_change_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			  struct str to);
void fence_quarantine_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			      int64_t generation);
void fence_open_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			int64_t generation);

#endif
