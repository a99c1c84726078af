/*
 * An owner: a customer and the number of the unit that he claims of a coupon, 1 up to the coupon's limit. Owners'
 * hashes, order records and scripts have it as one word: "USER" for unit 1, "USER#UNIT" for units above.
 */
#ifndef SALE_OWNER_H
#define SALE_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct redis_command;

enum { UNITS_MAX = 100, OWNER_TEXT = 32 };

struct owner {
	int64_t user;
	int unit; /* 1 to UNITS_MAX */
};

/* Writes the word to text, without a '\0'; the result points there. The user is above 0. */
struct str owner_text(char text[OWNER_TEXT], struct owner o);

/* Reads a word. False: owner_text would not write this text, and *o is unchanged. */
bool owner_read(struct str text, struct owner *o);

/* Adds the word to a command; of a claim without a customer, user 0 and unit 1, that is "0". */
void owner_put(struct redis_command *c, struct owner o);

static inline bool owner_eq(struct owner a, struct owner b)
{
	return a.user == b.user && a.unit == b.unit;
}

/* A number for tables in memory: above 0, and another one for each owner. owner_of_code reads it. */
static inline int64_t owner_code(struct owner o)
{
	return o.user * 128 + o.unit;
}

static inline struct owner owner_of_code(int64_t code)
{
	return (struct owner){ code / 128, (int)(code % 128) };
}

/* Below 0, 0 or above 0: the order by user, then unit. */
static inline int owner_compare(struct owner a, struct owner b)
{
	return a.user != b.user ? (a.user > b.user) - (a.user < b.user) : (a.unit > b.unit) - (a.unit < b.unit);
}

#endif
