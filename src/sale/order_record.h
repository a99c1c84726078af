/*
 * A record on the order list of a segment: "number|user|ms" is an order, written by claim.lua and restore.lua;
 * "number|?|ms", written by reopen.lua, means that the number was given out and its order is lost.
 */
#ifndef SALE_ORDER_RECORD_H
#define SALE_ORDER_RECORD_H

#include <stdint.h>

#include "base/str.h"

struct order_record {
	int segment;                        /* of the list; set by the caller */
	int64_t sequence, user, claimed_ms; /* user 0: the order is lost */
	struct str raw;                     /* the text of the record, not copied */
};

enum { ORDER_RECORD_TEXT = 64 };

/* Writes "number|user|ms" to text, with "?" in place of a user or a moment that is 0. */
struct str order_record_text(char text[ORDER_RECORD_TEXT], const struct order_record *r);

/* Reads a record, and sets all members but the segment. False: the text is not a record, and only raw is set. */
bool order_record_read(struct str raw, struct order_record *r);

#endif
