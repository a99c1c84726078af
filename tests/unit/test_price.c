/* The rules for what a unit costs and where it is paid. Texts that API tests refuse are in tests/it/input.py. */
#include "unit/unit.h"

#include <stdlib.h>

#include "sale/price.h"

static struct arena arena;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

/* In memory of its own size, so that the address sanitizer sees a read behind its end. */
static struct str exact(struct str text)
{
	char *copy = malloc(text.n ? text.n : 1);
	assert_non_null(copy);
	memcpy(copy, text.p, text.n);
	return (struct str){ copy, text.n };
}

static void currencies_are_three_capital_letters(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		bool ok;
	} rows[] = {
		{ BYTES("EUR"), true },	  { BYTES("AAA"), true },  { BYTES("ZZZ"), true },     { BYTES(""), false },
		{ BYTES("EU"), false },	  { BYTES("EURO"), false }, { BYTES("EUr"), false },    { BYTES("E\0R"), false },
		{ BYTES("@UR"), false },  { BYTES("EU["), false }, { BYTES("\xc3\x89U"), false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect(price_is_currency(rows[i].text) == rows[i].ok, "row %zu", i);
}

static void addresses(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		bool ok;
	} rows[] = {
		{ BYTES("https://a/{order}"), true },
		{ BYTES("http://a?{order}{order}"), true },
		{ BYTES("https://[::1]:8443/pay;v=1?o={order}&x=%20#/{order}"), true },
		{ BYTES("https://{order}.example/"), false },
		{ BYTES("https://a.{order}.example/{order}"), false },
		{ BYTES("https://a.{order}"), false },
		{ BYTES("https://a/{orde"), false },
		{ BYTES("https://a/{"), false },
		{ BYTES("https://a/}{order}"), false },
		{ BYTES("https:/a/{order}"), false },
		{ BYTES("https://"), false },
		{ BYTES("http"), false },
		{ BYTES(""), false },
		{ BYTES("https://a/{order}\0"), false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct str text = exact(rows[i].text);
		expect(price_is_checkout_url(text) == rows[i].ok, "%s", rows[i].text.p);
		free((void *)(uintptr_t)text.p);
	}
}

static void every_place_of_the_number_is_filled(void **state)
{
	(void)state;
	static const struct {
		struct str url, filled;
	} rows[] = {
		{ BYTES("https://a/{order}"), BYTES("https://a/1-2-3") },
		{ BYTES("https://a/{order}/x"), BYTES("https://a/1-2-3/x") },
		{ BYTES("http://a?{order}{order}#{order}"), BYTES("http://a?1-2-31-2-3#1-2-3") },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct str filled = price_checkout_url(&arena, rows[i].url, "1-2-3");
		expect(str_eq(filled, rows[i].filled), "%.*s", (int)filled.n, filled.p);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(currencies_are_three_capital_letters), TEST(addresses), TEST(every_place_of_the_number_is_filled))
