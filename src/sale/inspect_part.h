/* An inspection: what inspect_look.c reads and judges, and inspect.c holds, opens and closes. */
#ifndef SALE_INSPECT_PART_H
#define SALE_INSPECT_PART_H

#include "sale/coupon.h"
#include "sale/inspect.h"
#include "sale/key.h"

struct slot {
	struct str fence; /* "" when it is gone */
	bool doubtful;    /* in another life, or not: then nothing is done to it */
	bool away;        /* a segment that does not answer: nothing is done to it either */
	bool is_old;      /* of layout 0 */
	int64_t left, n, received, sent;
	int64_t first, last;    /* on the list; 0: it is empty */
	int64_t granted, taken; /* the hub's */
	int64_t cursor;
	const char *problem;
};

struct inspection {
	struct service *svc;
	struct arena *arena;
	struct coupon coupon; /* of which only id, segments, generation and hash_key are known */
	struct slot hub, *segments;
	char hold[KEY_TEXT];
	enum status status; /* what Redis did not answer, or could not */
	bool away;          /* a segment is */
	bool held;          /* from now on every slot must answer */
	bool hub_was_open;  /* before it was held */
	bool outrun;        /* somebody else has come */
	bool decided;       /* slots were told to open or close */
	bool over;
	enum status result; /* once it is over */
};

/* What MySQL knows of the coupon. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status inspection_begin(struct inspection *in, int64_t id);

/* Each sends its commands; the next one is right once all are answered. */
void inspection_ask_fences(struct inspection *in);
void inspection_upgrade(struct inspection *in);      /* slots of an earlier layout */
bool inspection_judge_fences(struct inspection *in); /* sends nothing; whether there is any doubt */

/*
 * The numbers of slots that are held. What a receiver has is read before what its sender says it sent: both only grow.
 */
void inspection_ask_segments(struct inspection *in);
void inspection_ask_hub(struct inspection *in);
enum status inspection_read_cursors(struct inspection *in); /* STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL */
void inspection_judge(struct inspection *in);               /* sets the slots' problems */

bool inspection_is_whole(const struct inspection *in);

#endif
