/* Order numbers, "COUPON-SEGMENT-SEQUENCE", as the API, customers' lists and logs have them. */
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

/* Writes "12-3-45" to text, with a final '\0'; the result points there. */
struct str order_number_text(char text[ORDER_NUMBER_TEXT], int64_t coupon, int segment, int64_t sequence);

/* The beginning that the numbers of all orders of a coupon have, "12-". */
struct str order_number_of_coupon(char text[ORDER_NUMBER_TEXT], int64_t coupon);

/* Reads an order number. False: order_number_text would not write this text, and *n is undefined. */
bool order_number_read(struct str text, struct order_number *n);

#endif
