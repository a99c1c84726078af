/*
 * What is left of a coupon, read from its hub and segments in one go. A
 * coupon is read at most once at a time; who asks meanwhile shares the next
 * read, so that nobody gets an answer from before the question.
 */
#ifndef CATALOG_AVAILABILITY_H
#define CATALOG_AVAILABILITY_H

#include "sale/coupon.h"

struct segment_availability {
	int64_t left, sold, queued;
};

struct availability {
	int64_t amount, cancelled, left; /* left includes what is on its way between hub and segments */
	int64_t withdrawn;               /* of amount, taken off sale again */
	int64_t skipped;                 /* that are counted as sold, and no order has: of recoveries before layout 2 */
	int64_t hub, queued;
	bool sold_out;  /* the hub's word */
	int64_t now_ms; /* the sale clock */
	int count;
	struct segment_availability segments[SEGMENTS_MAX];
};

/*
 * STATUS_OK; without a stock STATUS_UNAVAILABLE, STATUS_FENCED, and STATUS_BUSY, when the sale is of an earlier layout
 * and an inspection is yet to come. The stock is valid during the callback.
 */
typedef void availability_done(void *context, enum status s, const struct availability *stock);

/*
 * lists: `queued` is wanted, which costs a second command for each segment; without it `queued` may be of an earlier
 * read. Done may be called before this returns. Does not block. A worker reads a bounded number of segments at a time,
 * its reads in turn: many large sales at once take longer, and delay nothing else.
 */
void availability_read(struct service *svc, struct coupon *c, bool lists, availability_done *done, void *context);

#endif
