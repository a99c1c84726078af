/* Calls of lua/claim.lua, and its answers: only this module knows the arguments and the words of that script. */
#ifndef STOCK_CLAIM_SCRIPT_H
#define STOCK_CLAIM_SCRIPT_H

#include "sale/coupon.h"

/* The hub's totals for a segment, and the base of the segment and the term of the hub for which they hold. */
struct totals {
	int64_t granted, taken, base, term;
};

/* One claim. */
struct claim_call {
	const struct coupon *coupon;
	int segment;
	int64_t user;
	const struct totals *credit; /* the hub's totals, credited to the segment first; NULL: none */
	int64_t queue_max;           /* orders of the coupon that may wait for MySQL; 0: any number */
	bool is_single; /* one server holds all slots, so the script also enters the order in the indexes */
};
void claim_script_claim(struct redis_command *cmd, const struct claim_call *call);

/* Credits the hub's totals to a segment, without a claim. */
void claim_script_credit(struct redis_command *cmd, const struct coupon *coupon, int segment,
			 const struct totals *credit);

enum claim_word {
	CLAIM_UNREADABLE, /* not an answer as the script documents it */
	CLAIM_WON,
	CLAIM_MINE,
	CLAIM_FULL,
	CLAIM_NEED,
	CLAIM_SOLDOUT,
	CLAIM_EARLY,
	CLAIM_ENDED,
	CLAIM_PAUSED,
	CLAIM_OK,
	CLAIM_FENCED,
	CLAIM_REGRESS,
	CLAIM_REPLACED,
	CLAIM_BROKEN,
	CLAIM_WORDS
};

/* An answer. The texts are valid as long as the reply. */
struct claim_answer {
	enum claim_word word;
	struct str text, rest; /* the word as received, and the text behind it */
	int64_t number[5];     /* behind the word; all that the script documents for this word are present */
};
struct claim_answer claim_script_read(const struct redis_reply *reply);

#endif
