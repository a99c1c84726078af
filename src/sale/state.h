/*
 * The state of a sale, which its seller steers: MySQL decides it, and hub and segments have copies. Each change has a
 * higher version, and a copy is replaced by a higher version only (lua/steer.lua).
 */
#ifndef SALE_STATE_H
#define SALE_STATE_H

#include "redis/redis.h"

/* The numbers of the column coupons.state. Slots are never archived: an archived sale has none. */
enum sale_state { SALE_OPEN, SALE_PAUSED, SALE_ENDED, SALE_ARCHIVED, SALE_STATES };

const char *sale_state_name(enum sale_state state); /* "open", "paused", "ended", "archived" */
bool sale_state_read(struct str name, enum sale_state *state);

/* What steer.lua gives to a slot. Zeros: a sale as it was created, open and without a window. */
struct steering {
	int64_t version;
	enum sale_state state;
	int64_t starts_ms, ends_ms; /* by the sale clock; 0: at once, without end */
};

/* Reads a slot's; a missing or impossible version reads as 0, as in slots of earlier programs. */
struct steering steering_read(const struct redis_reply *version, const struct redis_reply *state,
			      const struct redis_reply *starts, const struct redis_reply *ends);

/* Puts version, state, start and end as the next arguments of a command. */
void steering_put(struct redis_command *c, const struct steering *s);

/* The state at a moment of the sale clock: a sale may be over by time. */
enum sale_state steering_state_at(const struct steering *s, int64_t now_ms);

/* Makes *highest the one of the higher version. */
void steering_raise(struct steering *highest, const struct steering *other);

#endif
