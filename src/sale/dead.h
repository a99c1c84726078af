/*
 * Dead letters: records that could not become orders, kept until a person has decided. None is ever deleted. Blocks.
 */
#ifndef SALE_DEAD_H
#define SALE_DEAD_H

#include "base/arena.h"
#include "base/status.h"
#include "sale/service.h"

enum dead_state { DEAD_OPEN, DEAD_RETRIED, DEAD_DROPPED, DEAD_RESOLD /* recover.c's: the unit was sold again */ };

struct dead_letter {
	int64_t id, coupon, sequence; /* sequence 0: the record has none that can be read */
	int segment;
	enum dead_state state;
	int64_t at_ms, ended_ms; /* ended_ms: 0 while it is open */
	struct str record, reason, end_reason;
	struct str seller_name, coupon_name; /* empty when there is no such coupon */
};

/* The next `limit` after an id, oldest first; only the open ones unless `all`. In the arena. */
enum status dead_list(struct service *svc, struct arena *a, int64_t after, bool all, int limit,
		      struct dead_letter **letters, int *count);

/*
 * Makes an order of it after all: its row, the unit counted as sold, and the letter's end in one transaction, under the
 * rules of the drain. STATUS_OK: done when *refusal is NULL, else it says why not and nothing has changed.
 * STATUS_UNAVAILABLE: perhaps done; repeating is safe. STATUS_INTERNAL.
 */
enum status dead_retry(struct service *svc, struct arena *a, int64_t id, const char **refusal);

/* Gives it up: it stays, with the reason (1 to 255 bytes), and its unit stays sold. As above. */
enum status dead_drop(struct service *svc, struct arena *a, int64_t id, struct str reason, const char **refusal);

/* How many are open. */
enum status dead_count(struct service *svc, struct arena *a, int64_t *count);

/*
 * The letter of an order, whatever its state: whose it is and when it was claimed. STATUS_NO_SUCH_ORDER when there is
 * none under this number.
 */
enum status dead_order(struct service *svc, struct arena *a, int64_t coupon, int segment, int64_t sequence,
		       int64_t *user, int64_t *claimed_ms);

#endif
