/*
 * The number of an order, "COUPON-SEGMENT-SEQUENCE": the sequence counts within its segment. It is the order's name in
 * the API, in customers' lists and in logs.
 */
#ifndef SALE_ORDER_NUMBER_H
#define SALE_ORDER_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { ORDER_NUMBER_TEXT = 64 };

struct order_number {
	int64_t coupon, sequence;
	int segment;
};

/* "12-3-45", in text and terminated there. */
struct str order_number_text(char text[ORDER_NUMBER_TEXT], int64_t coupon, int segment, int64_t sequence);

/* The beginnings that orders have in common: "12-3-" of those of a segment, "12-" of those of a coupon. */
struct str order_number_of_segment(char text[ORDER_NUMBER_TEXT], int64_t coupon, int segment);
struct str order_number_of_coupon(char text[ORDER_NUMBER_TEXT], int64_t coupon);

/* False: the text is not an order number as order_number_text writes it; then *n is undefined. */
bool order_number_read(struct str text, struct order_number *n);

#endif
