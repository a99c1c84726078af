/*
 * Dead letters: records that could not become orders, for an operator to decide. They are never deleted. Blocks.
 */
#ifndef ORDER_DEAD_LETTER_H
#define ORDER_DEAD_LETTER_H

#include "base/arena.h"
#include "sale/order_number.h"
#include "sale/order_record.h"
#include "sale/service.h"
#include "sale/status.h"

enum dead_letter_state {
	DEAD_OPEN,
	DEAD_RETRIED,
	DEAD_DROPPED,
	DEAD_RESOLD /* a recovery put the unit on sale again */
};

/*
 * The reasons of letters that name a number as lost: it was given out, and no server has its order any more. A letter
 * with REASON_LOST holds a unit, because its segment counts the unit as sold (lua/reopen.lua); a letter with
 * REASON_LOST_FOUND holds none.
 */
#define REASON_LOST       "given out, and lost by Redis: whose it was is not known"
#define REASON_LOST_FOUND "acknowledged, and lost by the servers that had it"

/* SQL conditions on a row of dead_letters: the letter holds a unit; the letter names its number as lost. */
#define DEAD_LETTER_HOLDS_UNIT "(seq IS NOT NULL AND state NOT IN (1, 3) AND reason <> '" REASON_LOST_FOUND "')"
#define DEAD_IS_LOST           "(reason IN ('" REASON_LOST "', '" REASON_LOST_FOUND "'))"

struct dead_letter {
	int64_t id, coupon, sequence; /* sequence 0: the record has no number that can be read */
	int segment;
	enum dead_letter_state state;
	int64_t at_ms, ended_ms; /* ended_ms: 0 while the letter is open */
	struct str record, reason, end_reason;
	struct str seller_name, coupon_name; /* empty when MySQL does not have the coupon */
	int64_t pay_within_s;                /* of the coupon */
};

/* A page: the next `limit` letters after an id, oldest first; only the open ones unless `all`. */
struct dead_letter_page {
	int64_t after;
	bool all;
	int limit;
	struct dead_letter *letters; /* out, in the arena */
	int count;
};
enum status dead_letter_list(struct service *svc, struct arena *a, struct dead_letter_page *page);

/*
 * Makes the letter's record an order: one transaction inserts the row, counts the unit as sold and ends the letter,
 * under the rules of the drain. STATUS_OK with *refusal NULL: done; STATUS_OK with another *refusal: nothing has
 * changed, and *refusal is the reason. STATUS_UNAVAILABLE: perhaps done; safe to repeat. STATUS_INTERNAL.
 */
enum status dead_letter_retry(struct service *svc, struct arena *a, int64_t id, const char **refusal);

/* Ends the letter as dropped, with the reason (1 to 255 bytes). Its unit stays sold. Returns as dead_letter_retry. */
enum status dead_letter_drop(struct service *svc, struct arena *a, int64_t id, struct str reason, const char **refusal);

/* The number of open letters. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */
enum status dead_letter_count(struct service *svc, struct arena *a, int64_t *count);

/*
 * Reads the dead letter of an order number, whatever its state: its record, with user and claimed_ms 0 when they are
 * not known, and whether it names the order as lost. STATUS_OK; STATUS_NO_SUCH_ORDER: no letter has this number;
 * STATUS_UNAVAILABLE; STATUS_INTERNAL.
 */
enum status dead_letter_order(struct service *svc, struct arena *a, const struct order_number *n,
			      struct order_record *record, bool *is_lost);

/*
 * Inserts a letter from the fields coupon, segment, sequence, record and reason, in the caller's transaction, and logs
 * it. In a sale with payment its unit counts as final, and so it does until dead_letter_retry or dead_letter_revive.
 * Of the record, the first 4096 bytes are kept. Safe to repeat. 1: inserted; 0: this record has a letter already; -1:
 * the database has failed.
 */
int dead_letter_bury(struct service *svc, const struct dead_letter *d) MUST_CHECK;

/*
 * Ends a letter that names a number as lost, because the order came back and becomes a row in the same transaction.
 * 1: ended; 0: the letter is not open any more, and nothing was done; -1: the database has failed.
 */
int dead_letter_revive(struct service *svc, struct arena *a, int64_t id) MUST_CHECK;

#endif
