/* An inspection: what inspect_look.c reads and judges, and inspect.c holds, opens and closes. */
#ifndef SALE_INSPECT_PART_H
#define SALE_INSPECT_PART_H

#include "sale/coupon.h"
#include "sale/inspect.h"
#include "sale/key.h"

struct slot {
	struct str fence; /* "" when it is gone */
	bool doubtful;    /* in another life, or not: then nothing is done to it */
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
	bool hub_was_open;  /* before it was held */
	bool outrun;        /* somebody else has come */
};

/* Sends all, and waits for the answers. False: see status and outrun. */
bool inspection_settle(struct inspection *in);

/* What MySQL knows of the coupon. STATUS_OK, STATUS_NO_SUCH_COUPON, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status inspection_begin(struct inspection *in, int64_t id);

bool inspection_read_fences(struct inspection *in);  /* as inspection_settle */
bool inspection_judge_fences(struct inspection *in); /* whether there is any doubt */

/* Of slots that are held. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status inspection_read_numbers(struct inspection *in);
void inspection_judge(struct inspection *in); /* sets the slots' problems */

bool inspection_is_whole(const struct inspection *in);

#endif
