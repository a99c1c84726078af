/*
 * How many units of a coupon are left, read from its hub and segments. A coupon is read at most once at a time:
 * requests that come during a read share the next read, so that no result is older than its request.
 */
#ifndef PAGE_AVAILABILITY_H
#define PAGE_AVAILABILITY_H

#include "sale/coupon.h"

struct segment_availability {
	int64_t left, sold, queued;
};

struct availability {
	int64_t amount, cancelled, left; /* left: includes units on their way between hub and segments */
	int64_t withdrawn;               /* units of `amount` that were taken off sale again */
	int64_t skipped;                 /* units counted as sold without an order, by recoveries before layout 2 */
	int64_t hub, queued;
	bool waits;      /* the sale has a waiting list */
	int64_t waiting; /* people on it */
	bool may_return; /* some units have orders that may still end without payment */
	int64_t now_ms;  /* the sale clock; with AVAILABILITY_STATE */

	/* As the hub has them, because the coupon's own were read earlier and may be old. */
	bool is_paused, is_ended;   /* by the seller */
	int64_t starts_ms, ends_ms; /* as in struct coupon */
	int64_t version;            /* of what the seller may change; 0: nothing was changed */

	int count;
	struct segment_availability segments[SEGMENTS_MAX];
};

/* "open", "upcoming", "paused", "ended", "all-held" or "sold-out". Needs AVAILABILITY_STATE. */
const char *availability_state(const struct availability *st);

/*
 * STATUS_OK with a result, which is valid during the callback. With NULL: STATUS_UNAVAILABLE; STATUS_FENCED;
 * STATUS_BUSY: the coupon has an earlier layout and waits for an inspection.
 */
typedef void availability_done(void *context, enum status s, const struct availability *result);

/* What is read; each has all that those before it have. */
enum availability_detail {
	AVAILABILITY_LEFT,
	AVAILABILITY_STATE, /* and the sale clock: a command more */
	AVAILABILITY_LISTS, /* and `queued`: a command more for each segment */
};

/*
 * What was not asked for may be that of an earlier read. done may be called before this returns. Does not block. A
 * worker reads a limited number of segments at a time and in a millisecond, one segment of each sale in turn, so that
 * reading many large sales takes longer but does not delay claims.
 */
void availability_read(struct service *svc, struct coupon *c, enum availability_detail detail, availability_done *done,
		       void *context);

/* Whether no read is under way. */
bool availability_is_idle(const struct service *svc);

/* Blocks until no read and no command is under way; for a client that has a loop of its own. */
void availability_wait_all(struct service *svc);

/* Frees the state that the reads of a process share. Only to be called when availability_is_idle. */
void availability_close(struct service *svc);

#endif
