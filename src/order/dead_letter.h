/*
 * Dead letters: records that could not become orders, kept until a person has decided. None is ever deleted. Blocks.
 */
#ifndef ORDER_DEAD_LETTER_H
#define ORDER_DEAD_LETTER_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

enum dead_letter_state {
	DEAD_OPEN,
	DEAD_RETRIED,
	DEAD_DROPPED,
	DEAD_RESOLD /* recover.c's: the unit was sold again */
};

/*
 * Reasons that name a number as lost: it was given out, and no server has its order any more. The first holds a unit,
 * because the segment counts it as sold (lua/reopen.lua); the second does not.
 */
#define REASON_LOST       "given out, and lost by Redis: whose it was is not known"
#define REASON_LOST_FOUND "acknowledged, and lost by the servers that had it"

/* Conditions of SQL on dead_letters: the letter holds a unit; it names its number as lost. */
#define DEAD_LETTER_HOLDS_UNIT "(seq IS NOT NULL AND state NOT IN (1, 3) AND reason <> '" REASON_LOST_FOUND "')"
#define DEAD_IS_LOST           "(reason IN ('" REASON_LOST "', '" REASON_LOST_FOUND "'))"

struct dead_letter {
	int64_t id, coupon, sequence; /* sequence 0: the record has none that can be read */
	int segment;
	enum dead_letter_state state;
	int64_t at_ms, ended_ms; /* ended_ms: 0 while it is open */
	struct str record, reason, end_reason;
	struct str seller_name, coupon_name; /* empty when there is no such coupon */
};

/* The next `limit` after an id, oldest first; only the open ones unless `all`. In the arena. */
enum status dead_letter_list(struct service *svc, struct arena *a, int64_t after, bool all, int limit,
			     struct dead_letter **letters, int *count);

/*
 * Makes an order of it after all: its row, the unit counted as sold, and the letter's end in one transaction, under the
 * rules of the drain. STATUS_OK: done when *refusal is NULL, else it says why not and nothing has changed.
 * STATUS_UNAVAILABLE: perhaps done; repeating is safe. STATUS_INTERNAL.
 */
enum status dead_letter_retry(struct service *svc, struct arena *a, int64_t id, const char **refusal);

/* Gives it up: it stays, with the reason (1 to 255 bytes), and its unit stays sold. As above. */
enum status dead_letter_drop(struct service *svc, struct arena *a, int64_t id, struct str reason, const char **refusal);

/* How many are open. */
enum status dead_letter_count(struct service *svc, struct arena *a, int64_t *count);

/*
 * The letter of an order, whatever its state: whose it is (0: that is not known), when it was claimed, and whether it
 * names the order as lost. STATUS_NO_SUCH_ORDER when there is none under this number; STATUS_UNAVAILABLE,
 * STATUS_INTERNAL.
 */
enum status dead_letter_order(struct service *svc, struct arena *a, int64_t coupon, int segment, int64_t sequence,
			      int64_t *user, int64_t *claimed_ms, bool *is_lost);

/*
 * Enters a letter, in a transaction of the caller's if there is one, and logs it. number 0: the record has none; of the
 * record up to 4096 bytes are kept. Safe to repeat. 1; 0: this record has its letter already; -1: the database has
 * failed.
 */
int dead_letter_bury(struct service *svc, int64_t coupon, int segment, int64_t number, struct str record,
		     const char *reason) MUST_CHECK;

/*
 * The order of a number that is named lost is back, and becomes a row in the same transaction of the caller's. 1; 0:
 * its letter is not open any more, nothing was done; -1: the database has failed.
 */
int dead_letter_revive(struct service *svc, int64_t id) MUST_CHECK;

#endif
