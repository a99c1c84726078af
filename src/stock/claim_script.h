/* Calls of lua/claim.lua, and its answers: only this module knows the arguments and the words of that script. */
#ifndef STOCK_CLAIM_SCRIPT_H
#define STOCK_CLAIM_SCRIPT_H

#include "sale/coupon.h"

/* The hub's totals for a segment, and the base of the segment and the term of the hub for which they hold. */
struct totals {
	int64_t granted, taken, base, term;
};

struct claim_call {
	struct service *service;
	struct coupon *coupon;
	int segment;
	struct owner owner;          /* user 0, unit 1: no claim, only a credit */
	const struct totals *credit; /* credited to the segment first; NULL: none */
};

/* Sends a call of the script. Does not block; done is called as redis_send says. */
void claim_script_send(const struct claim_call *call, redis_done *done, void *context);

enum claim_word {
	CLAIM_UNREADABLE, /* not an answer as the script documents it */
	CLAIM_WON,
	CLAIM_MINE,
	CLAIM_LIMIT, /* the word MINE with a number below 0 */
	CLAIM_FULL,
	CLAIM_NEED,
	CLAIM_SOLDOUT,
	CLAIM_HELD,
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
