/*
 * The two readers of a token's payload. The one for our own spelling may accept
 * less than json-c does, never more, and reads the same: shown on every text
 * that is one byte away from a good one, and on what writers of JSON vary.
 */
#include "unit/unit.h"

#include <stdio.h>

#include "account/token_payload.h"
#include "base/buf.h"

#define PAYLOAD(aud, exp, iat, iss, jti, kind, name, nbf, sub)                                                          \
	"{\"aud\":" aud ",\"exp\":" exp ",\"iat\":" iat ",\"iss\":" iss ",\"jti\":" jti ",\"kind\":" kind             \
	",\"name\":" name ",\"nbf\":" nbf ",\"sub\":" sub "}"
#define JTI "\"0123456789abcdef\""
#define NAMED(name) PAYLOAD("\"seckill\"", "1800000060", "1800000000", "\"seckill\"", JTI, "\"customer\"", name, "0", "\"42\"")
#define EXPIRING(exp) PAYLOAD("\"seckill\"", exp, "1", "\"seckill\"", JTI, "\"saler\"", "\"bob\"", "2", "\"42\"")
#define TEN(c) c c c c c c c c c c
#define FORTY(c) TEN(c) TEN(c) TEN(c) TEN(c)

static struct arena arena;

static bool equal(const struct token_payload *a, const struct token_payload *b)
{
	return str_eq(a->subject, b->subject) && str_eq(a->name, b->name) && str_eq(a->kind, b->kind) &&
	       str_eq(a->issuer, b->issuer) && str_eq(a->audience, b->audience) && str_eq(a->id, b->id) &&
	       a->issued_s == b->issued_s && a->not_before_s == b->not_before_s && a->expires_s == b->expires_s;
}

/* Whether our spelling's reader took it; then json-c's must have, and have read the same. */
static bool compare(struct str json)
{
	struct token_payload ours, any;
	bool taken = token_payload_read_own(json, &ours);
	expect(!taken || (token_payload_read(&arena, json, &any) && equal(&ours, &any)), "%.*s", (int)json.n, json.p);
	arena_reset(&arena);
	return taken;
}

static void what_it_takes_and_what_it_leaves(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct str json;
		bool taken;
	} rows[] = {
		{ "as issued", BYTES(NAMED("\"bob\"")), true },
		{ "UTF-8 in the name", BYTES(NAMED("\"M\xc3\xbcller \xe4\xbd\xa0\xf0\x9f\x98\x80\"")), true },
		{ "what others would escape", BYTES(NAMED("\"a/b<c>&d'\x7f\"")), true },
		{ "what looks like JSON", BYTES(NAMED("\"},{NaN:[\"")), true },
		{ "240 bytes", BYTES(NAMED("\"" FORTY("abcdef") "\"")), true },
		{ "241 bytes", BYTES(NAMED("\"" FORTY("abcdef") "g\"")), false },
		{ "no byte", BYTES(NAMED("\"\"")), false },
		{ "an escaped quote", BYTES(NAMED("\"b\\\"b\"")), false },
		{ "an escaped letter", BYTES(NAMED("\"\\u0062ob\"")), false },
		{ "a line feed", BYTES(NAMED("\"b\nb\"")), false },
		{ "NUL", BYTES(NAMED("\"b\0b\"")), false },
		{ "no UTF-8", BYTES(NAMED("\"b\xff\"")), false },
		{ "a surrogate", BYTES(NAMED("\"\xed\xa0\x80\"")), false },
		{ "a number for a string", BYTES(NAMED("42")), false },
		{ "null for a string", BYTES(NAMED("null")), false },
		{ "0", BYTES(EXPIRING("0")), true },
		{ "18 digits", BYTES(EXPIRING("999999999999999999")), true },
		{ "19 digits", BYTES(EXPIRING("1000000000000000000")), false },
		{ "2^64", BYTES(EXPIRING("18446744073709551616")), false },
		{ "a leading zero", BYTES(EXPIRING("01")), false },
		{ "-0", BYTES(EXPIRING("-0")), false },
		{ "a sign", BYTES(EXPIRING("-1")), false },
		{ "a plus", BYTES(EXPIRING("+1")), false },
		{ "a fraction", BYTES(EXPIRING("1.0")), false },
		{ "an exponent", BYTES(EXPIRING("1e3")), false },
		{ "a string for a number", BYTES(EXPIRING("\"1\"")), false },
		{ "nothing for a number", BYTES(EXPIRING("")), false },
		{ "a space", BYTES(EXPIRING(" 1")), false },
		{ "a space before all", BYTES(" " NAMED("\"bob\"")), false },
		{ "a space after all", BYTES(NAMED("\"bob\"") " "), false },
		{ "another object after all", BYTES(NAMED("\"bob\"") "{}"), false },
		{ "a member more in front", BYTES("{\"admin\":1,\"aud\":\"seckill\"}"), false },
		{ "nothing", BYTES(""), false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect(compare(rows[i].json) == rows[i].taken, "%s", rows[i].what);
}

static const struct str good = BYTES(PAYLOAD("\"sec\xc3\xa9\"", "1800000060", "1800000000", "\"seckill\"", JTI, "\"saler\"",
					    "\"b\xe4\xbd\xa0\"", "0", "\"42\""));

static void every_byte_changed_to_every_other(void **state)
{
	(void)state;
	char text[256];
	int taken = 0;
	for (size_t at = 0; at < good.n; at++)
		for (int c = 0; c < 256; c++) {
			memcpy(text, good.p, good.n);
			text[at] = (char)c;
			taken += compare((struct str){ text, good.n });
		}
	expect(taken > 3000, "%d", taken); /* other letters in the texts, other digits */
}

static void every_byte_left_out_or_doubled_and_every_byte_put_in(void **state)
{
	(void)state;
	char text[256];
	for (size_t at = 0; at < good.n; at++) {
		memcpy(text, good.p, at);
		memcpy(text + at, good.p + at + 1, good.n - at - 1);
		compare((struct str){ text, good.n - 1 });
		memcpy(text + at + 1, good.p + at, good.n - at);
		for (int c = 0; c < 256; c++) {
			text[at] = (char)c;
			compare((struct str){ text, good.n + 1 });
		}
	}
}

static void every_beginning(void **state)
{
	(void)state;
	for (size_t n = 0; n < good.n; n++) {
		char *exact = test_malloc(n + 1); /* a read past the end is seen by valgrind and the sanitizers */
		memcpy(exact, good.p, n);
		assert_false(compare((struct str){ exact, n }));
		test_free(exact);
	}
}

/* Members of one kind trade their places and their names. */
static void members_in_another_order(void **state)
{
	(void)state;
	static const char *const parts[] = { "\"aud\":\"x\"", "\"exp\":1", "\"iat\":2", "\"iss\":\"y\"",
					     "\"jti\":" JTI, "\"kind\":\"saler\"", "\"name\":\"bob\"", "\"nbf\":3",
					     "\"sub\":\"4\"" };
	enum { PARTS = COUNT_OF(parts) };
	int taken = 0;
	for (int a = 0; a < PARTS; a++)
		for (int b = 0; b < PARTS; b++) {
			struct arena own = { 0 };
			struct buf json;
			buf_init(&json, &own);
			for (int i = 0; i < PARTS; i++)
				buf_printf(&json, "%c%s", i ? ',' : '{', parts[i == a ? b : i == b ? a : i]);
			buf_puts(&json, "}");
			taken += compare(buf_str(&json));
			arena_release(&own);
		}
	assert_int_equal(taken, PARTS); /* those where nothing moved */
}

UNIT_MAIN(cmocka_unit_test(what_it_takes_and_what_it_leaves), cmocka_unit_test(every_byte_changed_to_every_other),
	  cmocka_unit_test(every_byte_left_out_or_doubled_and_every_byte_put_in), cmocka_unit_test(every_beginning),
	  cmocka_unit_test(members_in_another_order))
