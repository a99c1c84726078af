/*
 * One inspection of one coupon, and its steps; inspect.c has their order. A step sends its commands and returns; the
 * next step begins once all replies have arrived. If `must_retry` is set after a step, the inspection ends; the coupon
 * stays suspect and is inspected again.
 */
#ifndef INSPECT_INSPECTION_H
#define INSPECT_INSPECTION_H

#include "sale/coupon.h"
#include "sale/key.h"
#include "sale/numbers.h"
#include "sale/scripts.h"
#include "sale/slot.h"

struct openings;

/* An order or a held number that MySQL has and the segment lacks. */
struct missing_order {
	int64_t number, user; /* user 0: the order is over or lost, so it has no owner */
	int64_t entry;        /* the number that its customer has among the owners, for its unit; 0: none */
	int unit;             /* which of the customer's units it is */
	int units;            /* of stock, that it needs. 0: it gets the unit of that entry */
};

struct missing_orders {
	struct missing_order *at; /* in ascending order of their numbers */
	int count;
	struct db_rows held; /* numbers of dead letters that hold a unit, in ascending order */
};

/* The hub or a segment. Of the hub only the first group is used. */
struct slot {
	struct str fence;
	struct str incarnation; /* of the slot's server when the fence was read */
	bool suspect;           /* the fence names another incarnation, or the base was replaced: must be opened anew */
	bool away;              /* its server does not answer, so the slot is not changed */
	bool waits;             /* must be opened, but not by this inspection */
	bool is_old;            /* has an earlier layout */
	bool half_recovered;    /* a recovery stopped before it opened the slot, or the server lost its writes */
	const char *problem;    /* why the slot is not opened; NULL: nothing is wrong */

	struct slot_segment now;       /* as read, then as the inspection has changed it; -1: the field has no number */
	struct slot_share at_hub;      /* what the hub keeps of the segment */
	bool unreported;               /* the segment has not reported to the hub in the hub's present term */
	int64_t list_first, list_last; /* order numbers at both ends of its list; 0: empty; -1: not an order record */
	bool has_no_owner;
	bool has_waiters;               /* people wait for units of the sale: those that are left here go to the hub */
	int64_t owners;                 /* how many it has; read only if some order of the coupon is over */
	struct missing_orders *missing; /* NULL: none */
};

struct inspection {
	struct service *svc;
	struct arena *arena;
	struct openings *openings;
	struct coupon coupon; /* only id, seller, the names, segments, generation and hash_key are set */
	struct slot hub, *segments;
	struct slot_hub at_hub;
	struct cursor *cursors;   /* of each segment */
	int64_t over;             /* how many orders of the coupon are over, when the inspection began */
	struct steering steering; /* the highest version of MySQL and all slots: what a slot that is opened gets */
	struct numbering numbering;
	bool sold_out_expired; /* sold-out notices from before the hub's present epoch have expired in all workers */
	bool away;             /* a segment's server does not answer */
	bool must_retry;       /* a slot has changed since it was read, a server is unreachable, or notices are valid */
	bool lost_records;     /* a list lacks orders that MySQL lacks, too */
	bool needs_recovery;   /* servers lost what only a recovery finds elsewhere */
	enum status status;    /* not STATUS_OK: a store has failed */
	bool finished;
	enum status result; /* valid if finished */
};

/* The segment must be opened, and so far nothing prevents that. */
static inline bool slot_to_open(const struct slot *s)
{
	return s->suspect && !s->away && !s->waits && !s->problem;
}

/* The segment is open, and must report to a hub that began a new term. */
static inline bool slot_to_report(const struct slot *s)
{
	return s->unreported && !s->suspect && !s->away && !s->problem;
}

/* inspection.c */

/* Reads coupon and cursors from MySQL. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status inspection_begin(struct inspection *in, int64_t coupon);
void inspection_finish(struct inspection *in, enum status result);

/*
 * Sends a command that reads or changes slot s, or with inspection_send_to_hub the hub's share of it. take is called
 * with the reply. If the server does not answer, a segment is marked as away; if it is the hub's, the inspection fails.
 */
typedef void slot_reader(struct inspection *in, struct slot *s, const struct redis_reply *reply);
void inspection_send(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *take);
void inspection_send_to_hub(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *take);

/* The slot_reader of scripts that answer OK, or that the slot has changed since it was read: sets must_retry. */
void inspection_expect_ok(struct inspection *in, struct slot *s, const struct redis_reply *reply);
bool inspection_reply_is(const struct redis_reply *reply, const char *word);

/* Calls act for each segment that must be opened. */
void inspection_each(struct inspection *in, void (*act)(struct inspection *in, struct slot *s, int i));

int inspection_segment_number(const struct inspection *in, const struct slot *s);

/* The fence of a slot of this coupon that is open in this incarnation; "": of a suspect slot. */
struct str inspection_fence(const struct inspection *in, char text[KEY_TEXT], struct str incarnation);

/*
 * Notes when the hub was seen in an epoch before which it had declared the sale sold out. Sets sold_out_expired, by the
 * time since this process saw that epoch first.
 */
void inspection_note_opening(struct inspection *in, int64_t epoch, int64_t seen_ms);

/* read.c */
void inspection_read_slots(struct inspection *in);
void inspection_upgrade(struct inspection *in); /* converts slots of an earlier layout */
void inspection_reread_segments(struct inspection *in);
void inspection_reread_hub(struct inspection *in);
void inspection_count_owners(struct inspection *in);

/* judge.c. Sends nothing. */
bool inspection_judge_fences(struct inspection *in); /* true: a slot is suspect, or must report */
void inspection_mark_waiting(struct inspection *in); /* sets `waits` of segments that must be opened later */
bool inspection_has_work(const struct inspection *in);
/* True: some slots are gone or half recovered, and all others are sound or do not answer. *any_left: not all are gone.
 */
bool inspection_lost_slots(const struct inspection *in, bool *any_left);
int inspection_count_unreported(const struct inspection *in);
void inspection_judge_numbers(struct inspection *in);
void inspection_judge_units(struct inspection *in);
void inspection_refuse(struct inspection *in, const char *problem); /* no segment is opened */

/* hand_out.c. These block for MySQL. */
bool inspection_is_mysql_older(struct inspection *in); /* and then closes the coupon */
void inspection_hand_out_numbers(struct inspection *in);
void inspection_raise_amount(struct inspection *in);
void inspection_find_steering(struct inspection *in); /* sets `steering`, and brings MySQL to it */

/* owners.c, missing.c and returned.c. These block for MySQL; owners.c also for Redis. */
void inspection_restore_owners(struct inspection *in);
void inspection_read_missing(struct inspection *in);
void inspection_weigh_missing(struct inspection *in);
void inspection_return_orders(struct inspection *in);
int64_t inspection_missing_units(const struct slot *s);

/* hub.c */
void inspection_begin_term(struct inspection *in);
void inspection_admit(struct inspection *in);
void inspection_settle(struct inspection *in);
void inspection_report(struct inspection *in);
void inspection_admit_returns(struct inspection *in);

/* segments.c */
void inspection_mark_suspect(struct inspection *in);
void inspection_mend(struct inspection *in);
void inspection_ask_reports(struct inspection *in);
void inspection_return_units(struct inspection *in);
void inspection_open(struct inspection *in);
void inspection_quarantine(struct inspection *in);

/* conclude.c */
bool inspection_is_being_recovered(struct inspection *in); /* on any host; or has been since the slots were read */
void inspection_conclude(struct inspection *in);
void inspection_give_up(struct inspection *in); /* ends it; the coupon stays suspect */

#endif
