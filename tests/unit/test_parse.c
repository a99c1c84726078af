/* Untrusted text, in tables: numbers, base64url, UTF-8, names, dates. */
#include "unit/unit.h"

#include "base/clock.h"
#include "base/parse.h"

static void whole_numbers(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		bool ok;
		int64_t value;
	} rows[] = {
		{ BYTES("0"), true, 0 },
		{ BYTES("7"), true, 7 },
		{ BYTES("-7"), true, -7 },
		{ BYTES("-0"), true, 0 },
		{ BYTES("007"), true, 7 },
		{ BYTES("999999999999999999"), true, 999999999999999999 },
		{ BYTES("-999999999999999999"), true, -999999999999999999 },
		{ BYTES("99999999999999999999"), false, 0 },
		{ BYTES(""), false, 0 },
		{ BYTES("-"), false, 0 },
		{ BYTES("--1"), false, 0 },
		{ BYTES("+1"), false, 0 },
		{ BYTES(" 1"), false, 0 },
		{ BYTES("1 "), false, 0 },
		{ BYTES("1\n"), false, 0 },
		{ BYTES("1\0"), false, 0 },
		{ BYTES("1.0"), false, 0 },
		{ BYTES("1e3"), false, 0 },
		{ BYTES("0x1f"), false, 0 },
		{ BYTES("12abc"), false, 0 },
		{ BYTES("\xd9\xa1"), false, 0 }, /* a digit of another script */
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t value = 4711;
		bool ok = parse_int(rows[i].text, INT64_MIN, INT64_MAX, &value);
		expect(ok == rows[i].ok, "'%s'", rows[i].text.p);
		expect(value == (ok ? rows[i].value : 4711), "'%s' gave %lld", rows[i].text.p, (long long)value);
	}
}

static void bounds_are_inclusive(void **state)
{
	(void)state;
	int64_t value;
	assert_true(parse_int(STR("5"), 5, 9, &value));
	assert_true(parse_int(STR("9"), 5, 9, &value));
	assert_false(parse_int(STR("4"), 5, 9, &value));
	assert_false(parse_int(STR("10"), 5, 9, &value));
	assert_int_equal(value, 9);
}

/* RFC 4648 section 10, without padding, and the two characters that differ from base64. */
static void base64url_has_one_spelling(void **state)
{
	(void)state;
	static const struct {
		struct str text, bytes;
		bool ok;
	} rows[] = {
		{ BYTES(""), BYTES(""), true },
		{ BYTES("Zg"), BYTES("f"), true },
		{ BYTES("Zm8"), BYTES("fo"), true },
		{ BYTES("Zm9v"), BYTES("foo"), true },
		{ BYTES("Zm9vYg"), BYTES("foob"), true },
		{ BYTES("Zm9vYmE"), BYTES("fooba"), true },
		{ BYTES("Zm9vYmFy"), BYTES("foobar"), true },
		{ BYTES("AAECAw"), BYTES("\0\1\2\3"), true },
		{ BYTES("-_-_"), BYTES("\xfb\xff\xbf"), true },
		{ BYTES("Z"), BYTES(""), false },
		{ BYTES("Zm9vY"), BYTES(""), false },
		{ BYTES("Zh"), BYTES(""), false }, /* unused bits */
		{ BYTES("Zm9"), BYTES(""), false },
		{ BYTES("Zg=="), BYTES(""), false },
		{ BYTES("+/+/"), BYTES(""), false },
		{ BYTES("Zm 9v"), BYTES(""), false },
		{ BYTES("Zm9v\n"), BYTES(""), false },
		{ BYTES("Zm9\0"), BYTES(""), false },
		{ BYTES("Zm9\xff"), BYTES(""), false },
	};
	struct arena a;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct str bytes;
		bool ok = parse_base64url(&a, rows[i].text, &bytes);
		expect(ok == rows[i].ok, "'%s'", rows[i].text.p);
		expect(!ok || str_eq(bytes, rows[i].bytes), "'%s' gave '%.*s'", rows[i].text.p, (int)bytes.n, bytes.p);
	}
	arena_release(&a);
}

/* RFC 3629; the boundary cases are those of table 3-7 of the Unicode standard. */
static const struct {
	const char *what;
	struct str text;
	bool ok;
} utf8[] = {
	{ "nothing", BYTES(""), true },
	{ "ASCII", BYTES("abc"), true },
	{ "U+0080, the least of two bytes", BYTES("\xc2\x80"), true },
	{ "U+0800, the least of three", BYTES("\xe0\xa0\x80"), true },
	{ "U+D7FF, before the surrogates", BYTES("\xed\x9f\xbf"), true },
	{ "U+E000, after them", BYTES("\xee\x80\x80"), true },
	{ "U+10000, the least of four", BYTES("\xf0\x90\x80\x80"), true },
	{ "U+10FFFF, the last", BYTES("\xf4\x8f\xbf\xbf"), true },
	{ "a continuation alone", BYTES("\x80"), false },
	{ "a lead alone", BYTES("\xc3"), false },
	{ "a lead and ASCII", BYTES("\xc3(" ), false },
	{ "three bytes cut to two", BYTES("\xe4\xbd"), false },
	{ "four bytes cut to three", BYTES("\xf0\x9f\x98"), false },
	{ "overlong NUL", BYTES("\xc0\x80"), false },
	{ "overlong /", BYTES("\xc0\xaf"), false },
	{ "overlong U+007F", BYTES("\xc1\xbf"), false },
	{ "overlong / of three bytes", BYTES("\xe0\x80\xaf"), false },
	{ "overlong U+07FF", BYTES("\xe0\x9f\xbf"), false },
	{ "overlong / of four bytes", BYTES("\xf0\x80\x80\xaf"), false },
	{ "overlong U+FFFF", BYTES("\xf0\x8f\xbf\xbf"), false },
	{ "U+D800, a surrogate", BYTES("\xed\xa0\x80"), false },
	{ "U+DFFF, a surrogate", BYTES("\xed\xbf\xbf"), false },
	{ "a pair of surrogates", BYTES("\xed\xa0\xbd\xed\xb8\x80"), false },
	{ "U+110000", BYTES("\xf4\x90\x80\x80"), false },
	{ "a lead of five bytes", BYTES("\xf8\x88\x80\x80\x80"), false },
	{ "FE", BYTES("\xfe"), false },
	{ "FF", BYTES("\xff"), false },
	{ "good, then bad", BYTES("ab\xe4\xbd\xa0\xff"), false },
};

static void utf8_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(utf8); i++)
		expect(parse_is_utf8(utf8[i].text) == utf8[i].ok, "%s", utf8[i].what);
}

static void what_is_not_utf8_is_no_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(utf8); i++)
		if (!utf8[i].ok)
			expect(!parse_is_name(utf8[i].text), "%s", utf8[i].what);
}

#define TEN(c)	 c c c c c c c c c c
#define SIXTY(c) TEN(c) TEN(c) TEN(c) TEN(c) TEN(c) TEN(c)

static void names(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct str text;
		bool ok;
	} rows[] = {
		{ "one character", BYTES("a"), true },
		{ "spaces", BYTES("a b"), true },
		{ "what other parts of the service use as marks", BYTES("a{b}:|%'\"\\"), true },
		{ "three dots", BYTES("..."), true },
		{ "two dots", BYTES(".."), false },
		{ "a dot", BYTES("."), false },
		{ "Chinese", BYTES("\xe7\xa7\x92\xe6\x9d\x80"), true },
		{ "60 characters of ASCII", BYTES(SIXTY("x")), true },
		{ "61 characters of ASCII", BYTES(SIXTY("x") "x"), false },
		{ "60 characters of four bytes", BYTES(SIXTY("\xf0\x9f\x98\x80")), true },
		{ "61 characters, the last of four bytes", BYTES(SIXTY("x") "\xf0\x9f\x98\x80"), false },
		{ "nothing", BYTES(""), false },
		{ "a slash", BYTES("a/b"), false },
		{ "NUL", BYTES("a\0b"), false },
		{ "a line feed", BYTES("a\nb"), false },
		{ "a tabulator", BYTES("\t"), false },
		{ "the last of C0", BYTES("\x1f"), false },
		{ "DEL", BYTES("\x7f"), false },
		{ "U+0080, the first of C1", BYTES("\xc2\x80"), false },
		{ "U+0085, a new line", BYTES("\xc2\x85"), false },
		{ "U+009F, the last of C1", BYTES("\xc2\x9f"), false },
		{ "U+00A0, after C1", BYTES("\xc2\xa0"), true },
		{ "U+2027, before the separators", BYTES("\xe2\x80\xa7"), true },
		{ "U+2028, a line separator", BYTES("\xe2\x80\xa8"), false },
		{ "U+2029, a paragraph separator", BYTES("\xe2\x80\xa9"), false },
		{ "U+202A, bidi embedding", BYTES("\xe2\x80\xaa"), false },
		{ "U+202E, bidi override", BYTES("abc\xe2\x80\xaegnp"), false },
		{ "U+202F, after them", BYTES("\xe2\x80\xaf"), true },
		{ "U+2066, bidi isolate", BYTES("\xe2\x81\xa6"), false },
		{ "U+2069, end of an isolate", BYTES("\xe2\x81\xa9"), false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect(parse_is_name(rows[i].text) == rows[i].ok, "%s", rows[i].what);
}

/* Older names stay valid; new ones must be visible. */
static void new_names_can_be_seen(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct str text;
		const char *wrong; /* NULL: nothing */
	} rows[] = {
		{ "a word", BYTES("alice"), NULL },
		{ "two words", BYTES("a b"), NULL },
		{ "Chinese, with an ideographic space", BYTES("\xe7\xa7\x92\xe3\x80\x80\xe6\x9d\x80"), NULL },
		{ "a face", BYTES("\xf0\x9f\x98\x80"), NULL },
		{ "a letter and a combining accent", BYTES("e\xcc\x81"), NULL },
		{ "a ticket as an emoji, twice", BYTES("\xf0\x9f\x8e\x9f\xef\xb8\x8f\xf0\x9f\x8e\x9f\xef\xb8\x8f"), NULL },
		{ "a heart as text", BYTES("\xe2\x9d\xa4\xef\xb8\x8e" "s"), NULL },
		{ "U+FFFD, the replacement character", BYTES("\xef\xbf\xbd"), NULL },
		{ "U+1FFFD, before the noncharacters", BYTES("\xf0\x9f\xbf\xbd"), NULL },
		{ "nothing", BYTES(""), "1 to 60" },
		{ "a slash", BYTES("a/b"), "1 to 60" },
		{ "two dots", BYTES(".."), "1 to 60" },
		{ "U+202E, bidi override", BYTES("a\xe2\x80\xae"), "1 to 60" },
		{ "a blank", BYTES(" "), "blank" },
		{ "blanks of many kinds", BYTES(" \xc2\xa0\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8a\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80"), "blank" },
		{ "U+2800, an empty Braille cell", BYTES("\xe2\xa0\x80"), "blank" },
		{ "the same as an emoji", BYTES("\xe2\xa0\x80\xef\xb8\x8f"), "blank" },
		{ "two variation selectors", BYTES("\xe2\x9d\xa4\xef\xb8\x8f\xef\xb8\x8f"), "U+FE0F" },
		{ "a variation selector alone", BYTES("\xef\xb8\x8f"), "U+FE0F" },
		{ "U+00AD, a soft hyphen", BYTES("al\xc2\xadice"), "U+00AD" },
		{ "U+034F, a grapheme joiner", BYTES("a\xcd\x8f"), "U+034F" },
		{ "U+115F, a Hangul filler", BYTES("\xe1\x85\x9f"), "U+115F" },
		{ "U+200B, a zero-width space", BYTES("alice\xe2\x80\x8b"), "U+200B" },
		{ "U+200E, a left-to-right mark", BYTES("\xe2\x80\x8e" "alice"), "U+200E" },
		{ "U+200F, a right-to-left mark", BYTES("\xe2\x80\x8f"), "U+200F" },
		{ "U+2060, a word joiner", BYTES("a\xe2\x81\xa0" "b"), "U+2060" },
		{ "U+3164, a Hangul filler", BYTES("\xe3\x85\xa4"), "U+3164" },
		{ "U+FDD0, a noncharacter", BYTES("a\xef\xb7\x90"), "U+FDD0" },
		{ "U+FE0F, a variation selector", BYTES("a\xef\xb8\x8f"), "U+FE0F" },
		{ "U+FEFF, a byte order mark", BYTES("\xef\xbb\xbf" "a"), "U+FEFF" },
		{ "U+FFA0, a Hangul filler", BYTES("\xef\xbe\xa0"), "U+FFA0" },
		{ "U+FFFF, a noncharacter", BYTES("a\xef\xbf\xbf"), "U+FFFF" },
		{ "U+1FFFE, a noncharacter", BYTES("a\xf0\x9f\xbf\xbe"), "U+1FFFE" },
		{ "U+E0041, a tag", BYTES("a\xf3\xa0\x81\x81"), "U+E0041" },
		{ "U+10FFFF, the last noncharacter", BYTES("a\xf4\x8f\xbf\xbf"), "U+10FFFF" },
	};
	struct arena a;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *wrong = parse_new_name(&a, rows[i].text);
		expect(!wrong == !rows[i].wrong, "%s: %s", rows[i].what, wrong);
		expect(!wrong || strstr(wrong, rows[i].wrong), "%s: %s", rows[i].what, wrong);
	}
	arena_release(&a);
}

static void what_cannot_be_seen_is_blank(void **state)
{
	(void)state;
	static const struct str blank[] = { BYTES(""), BYTES(" "), BYTES("\xe2\x80\xaf\xe3\x80\x80"), BYTES("\xe2\x80\x8b"),
					    BYTES("\xef\xbb\xbf \xe2\x81\xa0") };
	static const struct str seen[] = { BYTES("x"), BYTES(" x"), BYTES("\xe2\x80\x8b."), BYTES("\xf0\x9f\x98\x80"), BYTES("\xff") };
	for (size_t i = 0; i < COUNT_OF(blank); i++)
		expect(parse_is_blank(blank[i]), "blank text %zu", i);
	for (size_t i = 0; i < COUNT_OF(seen); i++)
		expect(!parse_is_blank(seen[i]), "text %zu", i);
}

static void splitting_takes_every_piece(void **state)
{
	(void)state;
	static const struct {
		const char *text, *pieces; /* each in < > */
	} rows[] = {
		{ "", "<>" },	   { "a", "<a>" },	    { "/", "<><>" },	     { "a/b", "<a><b>" },
		{ "/a", "<><a>" }, { "a/", "<a><>" },	    { "a//b", "<a><><b>" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char joined[64] = "";
		struct str rest = str_of(rows[i].text), piece;
		while (parse_split(&rest, '/', &piece)) {
			strcat(joined, "<");
			strncat(joined, piece.p, piece.n);
			strcat(joined, ">");
		}
		expect(strcmp(joined, rows[i].pieces) == 0, "'%s' gave %s", rows[i].text, joined);
	}
	struct str none = { 0 }, piece;
	assert_false(parse_split(&none, '/', &piece));
}

static void dates(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ok;
		int64_t ms;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", true, 0 },
		{ "2026-01-01T00:00:00.000Z", true, 1767225600000 },
		{ "2026-01-01t00:00:00z", true, 1767225600000 },
		{ "2026-01-01 00:00:00Z", true, 1767225600000 },
		{ "2026-01-01T08:00:00+08:00", true, 1767225600000 },
		{ "2025-12-31T18:30:00-05:30", true, 1767225600000 },
		{ "2026-01-01T00:00:00-00:00", true, 1767225600000 },
		{ "2026-01-01T00:00:00.5Z", true, 1767225600500 },
		{ "2026-01-01T00:00:00.12Z", true, 1767225600120 },
		{ "2026-01-01T00:00:00.123456789Z", true, 1767225600123 },
		{ "2026-01-01T00:00:00.0000000000000000000001Z", true, 1767225600000 },
		{ "2024-02-29T12:00:00Z", true, 1709208000000 },
		{ "2000-02-29T00:00:00Z", true, 951782400000 },
		{ "9999-12-31T23:59:59.999Z", true, 253402300799999 },
		{ "2025-02-29T00:00:00Z", false, 0 },
		{ "2100-02-29T00:00:00Z", false, 0 },
		{ "2026-04-31T00:00:00Z", false, 0 },
		{ "2026-00-01T00:00:00Z", false, 0 },
		{ "2026-13-01T00:00:00Z", false, 0 },
		{ "2026-01-00T00:00:00Z", false, 0 },
		{ "2026-01-01T24:00:00Z", false, 0 },
		{ "2026-01-01T00:60:00Z", false, 0 },
		{ "2026-01-01T00:00:60Z", false, 0 }, /* a leap second, which no clock here has */
		{ "2026-01-01T00:00:00", false, 0 },
		{ "2026-01-01T00:00:00+24:00", false, 0 },
		{ "2026-01-01T00:00:00+08:60", false, 0 },
		{ "2026-01-01T00:00:00+0800", false, 0 },
		{ "2026-01-01T00:00:00+08", false, 0 },
		{ "2026-01-01T00:00:00.Z", false, 0 },
		{ "2026-01-01T00:00:00,5Z", false, 0 },
		{ "2026-01-01T00:00Z", false, 0 },
		{ "2026-01-01", false, 0 },
		{ "26-01-01T00:00:00Z", false, 0 },
		{ "2026-1-1T00:00:00Z", false, 0 },
		{ "+2026-01-01T00:00:00Z", false, 0 },
		{ " 2026-01-01T00:00:00Z", false, 0 },
		{ "2026-01-01T00:00:00Z ", false, 0 },
		{ "2026-01-01T-1:00:00Z", false, 0 },
		{ "1767225600000", false, 0 },
		{ "tomorrow", false, 0 },
		{ "", false, 0 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t ms = 4711;
		bool ok = clock_parse(str_of(rows[i].text), &ms);
		expect(ok == rows[i].ok, "'%s'", rows[i].text);
		expect(ms == (ok ? rows[i].ms : 4711), "'%s' gave %lld", rows[i].text, (long long)ms);
	}
}

static void dates_are_written_in_utc_with_milliseconds(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1, "1970-01-01T00:00:00.001Z" },
		{ 1709208000120, "2024-02-29T12:00:00.120Z" },
		{ 1767225599999, "2025-12-31T23:59:59.999Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[CLOCK_TEXT];
		int64_t back = -1;
		clock_format(text, rows[i].ms);
		assert_string_equal(text, rows[i].text);
		assert_true(clock_parse(str_of(text), &back));
		assert_int_equal(back, rows[i].ms);
	}
}

/* Every time that clock_parse accepts can be written by clock_format: an offset must not lead to a fifth digit. */
static void the_ends_of_time(void **state)
{
	(void)state;
	static const char *const rows[] = { "9999-12-31T23:59:59.999-23:59", "9999-12-31T23:59:59-00:01",
					    "1970-01-01T00:00:00+00:01", "1970-01-01T00:00:00.001+23:59" };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct {
			char text[CLOCK_TEXT], guard[8];
		} out = { .guard = "guards" };
		int64_t ms, back = -1;
		if (!clock_parse(str_of(rows[i]), &ms))
			continue;
		clock_format(out.text, ms);
		expect(memcmp(out.guard, "guards", 7) == 0, "%s: written past the end", rows[i]);
		expect(memchr(out.text, '\0', sizeof out.text), "%s: not terminated", rows[i]);
		expect(clock_parse(str_of(out.text), &back) && back == ms, "%s: came back as %s", rows[i], out.text);
	}
}

UNIT_MAIN(cmocka_unit_test(whole_numbers), cmocka_unit_test(bounds_are_inclusive),
	  cmocka_unit_test(base64url_has_one_spelling),
	  cmocka_unit_test(utf8_and_nothing_else),
	  cmocka_unit_test(what_is_not_utf8_is_no_name), cmocka_unit_test(names),
	  cmocka_unit_test(new_names_can_be_seen),
	  cmocka_unit_test(what_cannot_be_seen_is_blank),
	  cmocka_unit_test(splitting_takes_every_piece), cmocka_unit_test(dates),
	  cmocka_unit_test(dates_are_written_in_utc_with_milliseconds), cmocka_unit_test(the_ends_of_time))
