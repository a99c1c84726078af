/*
 * The fence of a slot, "LAYOUT:GENERATION@INCARNATION": which fields the slot has, which recovery wrote its numbers,
 * and in which incarnation of a server these numbers were last verified. Every script compares the fence first. So when
 * another server has taken over a slot, or a server has read it from its disk, nothing is sold from the slot before an
 * inspection has verified it (suspect). Nothing is sold from a slot with the fence "LAYOUT:GENERATION!" before a
 * recovery has rewritten it (quarantined).
 *
 * Slots of layout 0 had a field "gen" and no fence; the fence of layout 1 had no layout in it. lua/upgrade.lua brings
 * both to layout 2, with the fence "2:GENERATION@", which makes the slot suspect. Slots of a later layout are refused.
 */
#ifndef SALE_FENCE_H
#define SALE_FENCE_H

#include "sale/coupon.h"
#include "sale/key.h"

enum { LAYOUT = 2 };

/* The end of the fence of a stray: the slot is quarantined, and inspections look again whether MySQL has the coupon. */
#define FENCE_STRAY "!stray"

/*
 * The end of the fence of a slot that a recovery has closed, and of a slot that it has written and not opened yet. A
 * slot that keeps such a fence shows that a recovery was cut short, or that a failover lost the recovery's last writes.
 */
#define FENCE_RECOVERING "!recover"
#define FENCE_RECOVERED  "!written"

enum fence {
	FENCE_OTHER,   /* of another generation: read the coupon again */
	FENCE_SUSPECT, /* of this generation and another incarnation, or of an earlier layout: ask for an inspection */
	FENCE_QUARANTINED, /* closed, missing, or of a later layout */
};

/* What the fence in a reply {'FENCED', fence} means for a caller with this generation. */
enum fence fence_read(struct str fence, int64_t generation);

/* The generation in a fence; 0: there is none, or the fence is of another layout. */
int64_t fence_generation(struct str fence);

/* The layout of a slot with this fence; 0 for "". */
int64_t fence_layout(struct str fence);

/* Writes a fence of the present layout; rest, behind the generation, is "@", "!", "!stray" or "@0123456789abcdef". */
struct str fence_text(char text[KEY_TEXT], int64_t generation, const char *rest);

/* The incarnation in a fence; "": there is none. */
struct str fence_incarnation(struct str fence);

/* Puts the fence of an open slot, with the incarnation of the executing server, as the next argument of a command. */
void fence_put(struct redis_command *cmd, int64_t generation);

/* Quarantines a slot (KEY_HUB or KEY_SEGMENT) that was rolled back, and asks for an inspection. Does not wait. */
void fence_quarantine(struct redis *r, const struct coupon *c, enum key key, int segment);

/*
 * Builds a compare-and-set of a fence, a call of lua/fence.lua: from the expected fence ("": any) to the fence `to`; to
 * that of a quarantined slot; to that of an open slot, with the incarnation of the executing server.
 */
void fence_change_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			  struct str to);
void fence_quarantine_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			      int64_t generation);
void fence_open_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			int64_t generation);

#endif
