/*
 * A sale in which people wait, as a drainer sees it from one step to the next; and calls of promote.lua, which looks at
 * its hub and takes entries off the list.
 */
#ifndef WAITING_WAITED_H
#define WAITING_WAITED_H

#include "sale/coupon.h"

struct waited {
	int64_t coupon;
	int segments;
	int64_t due_ms;        /* when the next step is due; all moments by clock_mono_ms */
	int64_t queue;         /* how many wait, as the hub said last */
	int64_t opening_epoch; /* of the hub's last LATER; 0: there was none */
	int64_t opening_ms;    /* when LATER with this epoch came first */
	int64_t skipped;       /* so many entries at the head have homes that are away ... */
	int64_t skipped_until; /* ... until then, and as long as the same homes are */
	int64_t *away_until;   /* of each segment: it did not answer, or is not open, and is left alone until then */
	int64_t overs_until;   /* the rows of a sale that has ended are looked at again then */
	bool is_listed;        /* the worklist names it */
};

void waited_init(struct waited *w, int64_t coupon, int segments);
void waited_release(struct waited *w);

/* Whether the segment is left alone now, or its server is not connected. */
bool waited_is_away(struct service *svc, const struct waited *w, int segment);
/* Leaves the segment alone for a second. */
void waited_note_away(struct waited *w, int segment);

/* What promote.lua answers. */
enum waited_word {
	WAITED_AWAY, /* the hub's server does not answer, or the hub is not open: an inspection was asked for */
	WAITED_OK,
	WAITED_LATER,    /* sold-out notices may be valid */
	WAITED_UNHEARD,  /* not all segments have reported in the hub's term */
	WAITED_UNLISTED, /* the list is to be completed */
	WAITED_EARLY,
	WAITED_PAUSED,
	WAITED_ENDED,
	WAITED_NOLIST, /* the sale has no waiting list */
	WAITED_WORDS
};

struct promotion {
	int segment;
	int64_t granted, base; /* G with its units, and B */
	struct str entries;    /* "ticket owner ticket owner ..." */
};

struct hub_answer {
	enum waited_word word;
	int64_t epoch, avail, queue, term, promoted;
	struct str empty;              /* a digit for each segment */
	struct promotion *outstanding; /* promotions that are not done; in the arena */
	int count;
};

/*
 * Calls promote.lua for the entries "owner ticket home ..." behind `skipped` others; NULL: only looks. With WAITED_AWAY
 * nothing else is set. Blocks for Redis.
 */
void waited_ask(struct service *svc, struct arena *a, struct waited *w, struct coupon *c, const struct str *entries,
		struct hub_answer *answer);

#endif
