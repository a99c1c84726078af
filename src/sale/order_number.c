#include "sale/order_number.h"

#include "base/buf.h"
#include "base/parse.h"
#include "sale/coupon.h"

static struct str append(struct str beginning, int64_t number, char end)
{
	char *text = (char *)beginning.p, *to = text + beginning.n;
	to += buf_digits(to, number);
	*to = end;
	return (struct str){ text, (size_t)(to - text) + (end != '\0') };
}

struct str order_number_of_coupon(char text[ORDER_NUMBER_TEXT], int64_t coupon)
{
	return append((struct str){ text, 0 }, coupon, '-');
}

static struct str order_number_of_segment(char text[ORDER_NUMBER_TEXT], int64_t coupon, int segment)
{
	return append(order_number_of_coupon(text, coupon), segment, '-');
}

struct str order_number_text(char text[ORDER_NUMBER_TEXT], int64_t coupon, int segment, int64_t sequence)
{
	return append(order_number_of_segment(text, coupon, segment), sequence, '\0');
}

bool order_number_read(struct str text, struct order_number *n)
{
	struct str rest = text, coupon, segment, sequence;
	int64_t number;
	char again[ORDER_NUMBER_TEXT];
	if (!parse_split(&rest, '-', &coupon) || !parse_split(&rest, '-', &segment) ||
	    !parse_split(&rest, '-', &sequence) || rest.p || !parse_int(coupon, 1, INT64_MAX, &n->coupon) ||
	    !parse_int(segment, 0, SEGMENTS_MAX - 1, &number) || !parse_int(sequence, 1, NUMBER_MAX, &n->sequence))
		return false;
	n->segment = (int)number;
	/* An order has only one text: "012-3-45" is not an order number. */
	return str_eq(order_number_text(again, n->coupon, n->segment, n->sequence), text);
}
