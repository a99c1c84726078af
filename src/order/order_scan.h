/*
 * Reads the orders of a segment in the four places where they may be: owners and list in Redis, dead letters and rows
 * in MySQL. Reads page by page, so that the memory does not grow with the number of orders. An order moves from the
 * list to a row or a dead letter, and from a dead letter to a row: whoever reads the four places in this order misses
 * no order, also during the sale.
 */
#ifndef ORDER_ORDER_SCAN_H
#define ORDER_ORDER_SCAN_H

#include "order/dead_letter.h"
#include "order/order.h"
#include "sale/service.h"
#include "sale/status.h"

/* An order as one of the places has it. Texts are valid during the call. */
struct scanned_order {
	int64_t sequence; /* 0: the entry is not an order, or the letter has no number */
	int64_t user;     /* 0: not known; from the list, 0 means that the order is lost */
	int64_t claimed_ms;
	int unit;       /* which of the customer's units; 0: the entry is not an order */
	int64_t ticket; /* from the list or a dead letter: of the waiting list; 0: none */
	bool over; /* a row: it is cancelled or expired; a dead letter: it is not open; an owner: a tombstone, see below
		    */
	/* Set for a row. */
	enum order_status status;
	bool unknown_user; /* the table users does not have its customer */
	bool returned;     /* it is over and in returned_orders */
	bool not_awaited;  /* it is pending and not in unpaid_orders */
	int64_t payments;  /* that pay it */
	/* Set for a dead letter. If the letter has no number of its own, sequence is the number in its record. */
	int64_t id, recorded; /* recorded: the number in the record; 0: it cannot be read */
	enum dead_letter_state state;
	struct str reason;
	bool has_number;
};

struct order_scan {
	struct service *svc;
	int64_t coupon;
	int segment;
	void (*on_order)(void *context, const struct scanned_order *order);
	void *context;
};

/* Each calls on_order for all orders of one place, and blocks. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. */

/*
 * In no particular order; some owners perhaps twice. A tombstone stands for a customer whose orders of this unit of the
 * coupon have ended too often, so that the customer cannot claim it again; it has the number of the last of these
 * orders.
 */
enum status order_scan_owners(const struct order_scan *s);

/*
 * From the end of the list to its head, so that a trim meanwhile hides no order. An order that is pushed meanwhile may
 * be missed, and some orders may be read twice.
 */
enum status order_scan_list(const struct order_scan *s);

/* Dead letters of every state, by id. */
enum status order_scan_letters(const struct order_scan *s);

/* Rows with sequences from `first` to `last`, ascending. */
enum status order_scan_rows(const struct order_scan *s, int64_t first, int64_t last);

#endif
