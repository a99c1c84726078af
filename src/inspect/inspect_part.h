/* An inspection: inspect_look.c reads and judges, inspect_mend.c writes, inspect.c has the order of the steps. */
#ifndef INSPECT_INSPECT_PART_H
#define INSPECT_INSPECT_PART_H

#include "inspect/inspect.h"
#include "sale/coupon.h"
#include "sale/key.h"
#include "sale/numbers.h"

/* A segment, or the hub, of which only the first six are known. */
struct slot {
	struct str fence, run; /* run: the life of its server when the fence was read; "" when the slot is gone */
	bool suspect;          /* in another life, or opened under a base that was replaced: it is to be opened anew */
	bool away;             /* its server does not answer: nothing is done to it */
	bool waits;            /* for something else, before it can be opened */
	bool is_old;           /* of an earlier layout */
	bool unfinished;       /* a recovery has not come to its end here, as far as this server knows */
	const char *problem;   /* what contradicts itself; NULL: nothing */

	struct {
		int64_t sold, last, received, sent, base;
	} now;                    /* as it was read, and later as it was mended */
	int64_t first, end;       /* numbers at both ends of its list; 0: it is empty */
	bool ownerless;           /* it has not one owner */
	int64_t granted, taken;   /* the hub's totals */
	int64_t hub_base;         /* its base as the hub knows it */
	int64_t left;             /* once it was mended, or has reported */
	int64_t term;             /* the hub's, as the segment knows it */
	bool unheard;             /* it has not reported in the hub's term */
	struct orders_back *back; /* what MySQL has above its last number; NULL: nothing */
};

struct inspection {
	struct inspector *inspector;
	struct service *svc;
	struct arena *arena;
	struct coupon coupon; /* of which only id, seller, segments, generation and hash_key are known */
	struct slot hub, *segments;
	struct cursor *cursors; /* of each segment */
	struct numbering numbering;
	struct {
		int64_t term, avail, epoch;
		bool opening; /* workers may keep "sold out" */
	} at_hub;
	bool workers_forgot; /* it, by now */
	enum status status;  /* what Redis did not answer, or could not */
	bool away;           /* a segment is */
	bool outrun;         /* another inspection has come, or something has to be waited for */
	bool unmade;         /* it is to be made anew from MySQL: slots are gone, or a recovery is not whole */
	bool over;
	enum status result; /* once it is over */
};

/* The segment is to be opened, and nothing speaks against it so far. */
static inline bool slot_is_at_work(const struct slot *s)
{
	return s->suspect && !s->away && !s->waits && !s->problem;
}

/* It is open, and could report to a hub that has not heard it. */
static inline bool slot_may_report(const struct slot *s)
{
	return s->unheard && !s->suspect && !s->away && !s->problem;
}

/*
 * Sends a command; read is called with the answer, if there is one. Else the slot is away; when it is the hub, or the
 * hub is asked on behalf of a segment, the inspection ends.
 */
typedef void slot_reader(struct inspection *in, struct slot *s, const struct redis_reply *reply);
void inspection_ask(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *read);
void inspection_ask_hub_for(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *read);

/* What MySQL knows of the coupon. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status inspection_begin(struct inspection *in, int64_t id);

/* Each of these sends its commands; the next one is right once all are answered. */

/* inspect_look.c */
int inspection_unheard(const struct inspection *in); /* segments that the hub has not heard in its term */
void inspection_ask_slots(struct inspection *in);
void inspection_upgrade(struct inspection *in);      /* slots of an earlier layout */
bool inspection_judge_fences(struct inspection *in); /* sends nothing; whether there is any doubt */
void inspection_ask_segments(struct inspection *in); /* that are at work */
void inspection_judge(struct inspection *in);        /* sends nothing */
void inspection_ask_hub(struct inspection *in);

/* inspect_owners.c */
void inspection_return_owners(struct inspection *in); /* waits for the answers */

/* inspect_mend.c */
void inspection_suspect(struct inspection *in);
void inspection_number(struct inspection *in);
void inspection_begin_term(struct inspection *in);
void inspection_supply(struct inspection *in);
void inspection_read_back(struct inspection *in);
void inspection_admit(struct inspection *in);
void inspection_mend(struct inspection *in);
void inspection_settle(struct inspection *in);
void inspection_ask_reports(struct inspection *in);
void inspection_report(struct inspection *in);
void inspection_give(struct inspection *in);
void inspection_take_given(struct inspection *in);
void inspection_open(struct inspection *in);
void inspection_close(struct inspection *in);

/* inspect.c */

/*
 * Workers may keep "sold out", under epochs before this one of the hub, and do not renew it. Remembers since when (by
 * clock_mono_ms) that is so, as far as this process has seen.
 */
void inspection_note_opening(struct inspection *in, int64_t epoch, int64_t since_ms);

#endif
