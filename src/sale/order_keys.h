/*
 * Many orders as one parameter of a statement, so that a statement has one text however many they are, and finds each
 * row by its key (a list of conditions takes a server longer the more it has).
 */
#ifndef SALE_ORDER_KEYS_H
#define SALE_ORDER_KEYS_H

#include "base/buf.h"

/* The parameter as a table `k`, whose rows come in the order in which they were put: join others to it. */
#define ORDER_KEYS                                                                                                     \
	"JSON_TABLE(CONVERT(? USING utf8mb4), '$[*]' COLUMNS (coupon_id BIGINT PATH '$[0]', "                          \
	"segment INT PATH '$[1]', seq BIGINT PATH '$[2]', pay_by_ms BIGINT PATH '$[3]')) k "

/* The parameter: order_keys_begin, order_keys_put for each order, order_keys_end. */
static inline void order_keys_begin(struct buf *b, struct arena *a)
{
	buf_init(b, a);
}

/* pay_by_ms: only for statements that use it. */
static inline void order_keys_put(struct buf *b, int64_t coupon, int segment, int64_t sequence, int64_t pay_by_ms)
{
	buf_puts(b, b->n ? ",[" : "[[");
	buf_int(b, coupon);
	buf_puts(b, ",");
	buf_int(b, segment);
	buf_puts(b, ",");
	buf_int(b, sequence);
	buf_puts(b, ",");
	buf_int(b, pay_by_ms);
	buf_puts(b, "]");
}

static inline struct str order_keys_end(struct buf *b)
{
	buf_puts(b, b->n ? "]" : "[]");
	return buf_str(b);
}

#endif
