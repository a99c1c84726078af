/* What a unit costs, and where it is paid: the rules for what a seller sends. */
#ifndef SALE_PRICE_H
#define SALE_PRICE_H

#include <stdint.h>

#include "base/arena.h"

/* Of a price and of a payment, in the smallest unit of the currency. */
#define PRICE_MAX ((int64_t)1000000000000)
enum { CHECKOUT_URL_MAX = 2000, CURRENCY_TEXT = 3 };

/* Three capital letters, as ISO 4217 has them. */
bool price_is_currency(struct str text);
#define PRICE_CURRENCY_RULE "must be three capital letters, such as EUR"

/*
 * An absolute URL with the scheme http or https, of ASCII characters that RFC 3986 allows, at most CHECKOUT_URL_MAX.
 * Behind its host it contains {order}, which stands for the number of an order, and no other braces. The service never
 * fetches it.
 */
bool price_is_checkout_url(struct str text);
#define PRICE_CHECKOUT_RULE                                                                                            \
	"must be an http: or https: URL, without spaces and of ASCII characters only, that contains {order} behind its host"

/* The URL with the number of an order in the place of each {order}, in the arena. */
struct str price_checkout_url(struct arena *a, struct str url, const char *order);

#endif
