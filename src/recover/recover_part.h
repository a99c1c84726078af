/* A recovery: recover.c finds out what holds, recover_insert.c writes it into MySQL, recover_slots.c into Redis. */
#ifndef RECOVER_RECOVER_PART_H
#define RECOVER_RECOVER_PART_H

#include "recover/evidence.h"
#include "recover/recover.h"
#include "sale/coupon.h"
#include "sale/numbers.h"

/* What is known of the hub. */
struct hub_known {
	int64_t term, withdrawn;
	int64_t *bases; /* of each segment */
};

/* What a segment has in the end. */
struct share {
	int64_t sold;       /* orders, and numbers that hold a unit */
	int64_t renumbered; /* of these, numbers above its new base */
};

struct recover {
	struct service *svc;
	struct arena *arena;
	bool resell;
	struct coupon coupon;
	struct str closed;  /* the fence of its slots meanwhile */
	struct str written; /* and when they are written: who has that has all before it, also after a failover */
	int64_t closed_ms;
	int64_t cancelled, withdrawn;
	struct hub_known hub;
	struct evidence *sources; /* of each segment */
	struct share *shares;     /* of each segment */
	struct numbering numbers;
	int64_t room; /* units for which MySQL has no order yet */
	int64_t held; /* dead letters that hold a unit */
	bool failed;  /* a command to Redis */
	struct recovery *out;
};

/*
 * Brings slots of earlier layouts to this one, which puts them in doubt, and tells the highest generation of a slot, 0
 * when there is none. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL: a slot has a later layout than this program.
 */
enum status recover_upgrade(struct recover *r, int64_t *highest);

/* What the hub knows. STATUS_OK, STATUS_UNAVAILABLE. */
enum status recover_read_hub(struct recover *r);

/*
 * Inside the recovery's transaction: hands out bases and a term, and inserts what the sources know and MySQL does not.
 * 0; -1: the database has failed.
 */
int recover_insert(struct recover *r) MUST_CHECK;

/* Whether each server that is going to be written to is there. STATUS_OK, STATUS_UNAVAILABLE. */
enum status recover_reach(struct recover *r);

/* These return STATUS_OK, or STATUS_UNAVAILABLE: a server is away, or a later recovery has taken over. */
enum status recover_close(struct recover *r);
enum status recover_write(struct recover *r);
enum status recover_open(struct recover *r);

#endif
