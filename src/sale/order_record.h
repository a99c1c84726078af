/*
 * A record on the order list of a segment. "number|owner|ms" is an order, written by claim.lua and restore.lua; the
 * owner is a word of sale/owner.h. "number|owner|ms|ticket" is the order of a customer who was promoted from the
 * waiting list. "number|?|ms", written by reopen.lua, means that the number was given out and its order is lost.
 */
#ifndef SALE_ORDER_RECORD_H
#define SALE_ORDER_RECORD_H

#include <stdint.h>

#include "sale/owner.h"

struct order_record {
	int segment;                        /* of the list; set by the caller */
	int64_t sequence, user, claimed_ms; /* user 0: the order is lost */
	int unit;                           /* which of the customer's units, from 1 */
	int64_t ticket;                     /* of the customer on the waiting list; 0: he claimed */
	struct str raw;                     /* the text of the record, not copied */
};

enum { ORDER_RECORD_TEXT = 96 };

/* Writes the record to text, with "?" in place of a user or a moment that is 0, and without a ticket that is 0. */
struct str order_record_text(char text[ORDER_RECORD_TEXT], const struct order_record *r);

/*
 * Reads a record, and sets all members but the segment; the unit of a lost order is 1. False: the text is not a record,
 * and only raw is set.
 */
bool order_record_read(struct str raw, struct order_record *r);

static inline struct owner order_record_owner(const struct order_record *r)
{
	return (struct owner){ r->user, r->unit };
}

#endif
