/* A recovery: recover.c finds out what holds and writes it into MySQL, recover_slots.c into Redis. */
#ifndef SALE_RECOVER_PART_H
#define SALE_RECOVER_PART_H

#include "sale/coupon.h"
#include "sale/recover.h"
#include "sale/sources.h"

struct recover {
	struct service *svc;
	struct arena *arena;
	bool resell;
	struct coupon coupon;
	struct str closed;  /* the fence of its slots meanwhile */
	struct str written; /* and when they are written: who has that has all before it, also after a failover */
	int64_t closed_ms;
	int64_t cancelled;
	struct sources *sources; /* of each segment */
	int64_t room;            /* units for which MySQL has no order yet */
	int64_t numbers, dead;   /* sequences given out in all segments; of these, dead letters */
	bool failed;             /* a command to Redis */
	struct recovery *out;
};

/*
 * The highest generation of a slot, 0 when there is none. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL: a slot has
 * another layout than this program.
 */
enum status recover_read_generation(struct recover *r, int64_t *highest);

/* Whether each server that is going to be written to is there. STATUS_OK, STATUS_UNAVAILABLE. */
enum status recover_reach(struct recover *r);

/* These return STATUS_OK, or STATUS_UNAVAILABLE: a server is away, or a later recovery has taken over. */
enum status recover_close(struct recover *r);
enum status recover_write(struct recover *r);
enum status recover_open(struct recover *r);

#endif
