/* The statuses of orders, and sets of them. */
#ifndef SALE_ORDER_STATUS_H
#define SALE_ORDER_STATUS_H

#include "base/arena.h"

/* The numbers from ORDER_PENDING to ORDER_CONFIRMED are those of the column `status`. */
enum order_status {
	ORDER_QUEUED,
	ORDER_PENDING, /* waits for its payment */
	ORDER_PAID,
	ORDER_CANCELLED,
	ORDER_EXPIRED,   /* was not paid in time */
	ORDER_CONFIRMED, /* of a sale that asks for no payment */
	ORDER_FAILED,    /* MySQL refused the order */
	ORDER_LOST       /* the servers that had the order lost it */
};

/* "queued", "pending", ... */
const char *order_status_text(enum order_status s);

/* A set: bit N is status N. ORDER_ROWS are those that a row of MySQL can have; ORDER_WON those of a customer who has a
 * unit: all but cancelled, expired and lost. */
enum { ORDER_ANY = 0xff, ORDER_ROWS = 0x3e, ORDER_WON = 0x67 };

/* Reads "pending,paid"; an empty text is `allowed`. False: a word is none of those that are allowed. */
bool order_statuses_read(struct str text, unsigned allowed, unsigned *set);
/* "pending,paid", in the arena. */
const char *order_statuses_text(struct arena *a, unsigned set);

static inline bool order_statuses_have(unsigned set, enum order_status s)
{
	return set >> s & 1;
}

#endif
