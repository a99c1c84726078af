/*
 * An order as a claim left it on its segment's list: "number|user|ms", written by claim.lua and restore.lua; or
 * "number|?|ms", written by reopen.lua: this number was given out, and its order is lost.
 */
#ifndef SALE_ORDER_RECORD_H
#define SALE_ORDER_RECORD_H

#include <stdint.h>

#include "base/str.h"

struct order_record {
	int segment;                        /* whose list it was on: the reader's to set */
	int64_t sequence, user, claimed_ms; /* user 0: the order is lost */
	struct str raw;                     /* as it was, not copied */
};

/* All but the segment. False when it is no record, whole and with nothing behind it: then only raw is set. */
bool order_record_read(struct str raw, struct order_record *r);

#endif
