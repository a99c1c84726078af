/*
 * One recovery and its steps. recover.c runs the steps in their order and reads the evidence; insert.c writes into
 * MySQL; slots.c reads, closes and opens slots; rewrite.c writes the contents of slots.
 */
#ifndef RECOVER_RECOVERY_H
#define RECOVER_RECOVERY_H

#include "recover/evidence.h"
#include "sale/coupon.h"
#include "sale/numbers.h"
#include "sale/slot.h"

struct recovery_result;

/* Of one segment, after the recovery. */
struct segment_share {
	int64_t sold;       /* units: of orders, and of dead letters that hold one */
	int64_t renumbered; /* orders that got a number above the segment's new base */
};

struct recovery {
	struct service *svc;
	struct arena *arena;
	struct arena order_arena;               /* for the insertion of one row */
	const struct recovery_options *options; /* the caller's */
	struct coupon coupon;
	struct str closed_fence;  /* of a slot that is closed and not yet written */
	struct str written_fence; /* of a slot that is written; a replica that has this fence has the contents, too */
	int64_t closed_ms;        /* by clock_mono_ms */
	int64_t cancelled, withdrawn, missed;
	struct steering steering;       /* the highest version of MySQL and all slots */
	int64_t final, final_cancelled; /* units whose orders are final, and those of them that were given back */
	struct slot_hub hub;            /* as read from Redis */
	struct evidence *evidence;      /* of each segment */
	struct segment_share *segments; /* of each segment */
	struct numbering numbering;
	int64_t room; /* units for which MySQL has no order yet */
	int64_t held; /* numbers of dead letters that hold a unit */
	bool failed;  /* a command to Redis has failed */
	struct recovery_result *out;
};

/*
 * Converts slots of earlier layouts to this program's layout; a converted slot is suspect. *highest becomes the highest
 * generation of all slots, 0 if no slot exists. STATUS_OK; STATUS_UNAVAILABLE; STATUS_INTERNAL: a slot has a later
 * layout than this program's.
 */
enum status recovery_upgrade(struct recovery *r, int64_t *highest);

/* Reads the hub; one that does not exist reads as zeros. STATUS_OK, STATUS_UNAVAILABLE. */
enum status recovery_read_hub(struct recovery *r);

/* Checks that each server to which the recovery will write answers. STATUS_OK, STATUS_UNAVAILABLE. */
enum status recovery_check_servers(struct recovery *r);

/*
 * If MySQL was restored from an older backup, cancels orders once more that are over by the hub and by their segments.
 * The coupon is closed. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum status recovery_end_orders(struct recovery *r);

/*
 * Hands out bases and a term, and inserts orders and dead letters of lost orders that MySQL lacks. The caller has begun
 * a transaction, and commits it. 0; -1: the database has failed.
 */
int recovery_insert(struct recovery *r) MUST_CHECK;

/*
 * Close all slots, write their contents, and open them. Each returns STATUS_OK, or STATUS_UNAVAILABLE: a server is
 * unreachable, or a later recovery has taken over. Each may be repeated. recovery_rewrite and recovery_open change only
 * slots that this recovery closed.
 */
enum status recovery_close(struct recovery *r);
enum status recovery_rewrite(struct recovery *r);
enum status recovery_open(struct recovery *r);

/* Sends a command to Redis. recovery_wait_all waits for all replies: STATUS_OK; STATUS_UNAVAILABLE: one has failed. */
void recovery_send(struct recovery *r, const struct redis_command *c);
enum status recovery_wait_all(struct recovery *r);

/*
 * True: the owner's entry and the customer's list must be written. On a cluster a claim writes them separately, so an
 * order that only Redis had may be in only one of them.
 */
static inline bool recovery_writes_order(const struct evidence_order *order)
{
	return order->number != order->owner_number || evidence_is_new(order);
}

#endif
