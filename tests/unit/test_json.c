/*
 * Bodies that strangers send. json-c alone is lenient where it hurts: it takes
 * NaN, saturates numbers, converts strings, keeps the last of two equal
 * members, and lets NUL, raw control bytes, overlong UTF-8 and lone surrogates
 * pass. None of that may come through json_read.
 */
#include "unit/unit.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

/* The result of a body. */
struct wish {
	struct str name, note, part, code;
	int64_t amount, limit, late;
	bool has_note, has_limit, has_part;
};

struct reading {
	struct arena arena;
	struct wish wish;
	bool ok, is_json;
	const char *problem;
};

static void read_body(struct reading *r, struct str body)
{
	struct wish *w = &r->wish;
	const struct json_field fields[] = {
		{ "name", JSON_TEXT, true, 1, 12, &w->name, NULL, NULL },
		{ "code", JSON_TEXT, false, 3, 3, &w->code, NULL, NULL },
		{ "amount", JSON_INT, true, 1, 1000000000, NULL, &w->amount, NULL },
		{ "note", JSON_TEXT, false, 0, 20, &w->note, NULL, &w->has_note },
		{ "limit", JSON_INT, false, -5, INT64_MAX / 2, NULL, &w->limit, &w->has_limit },
		{ "late", JSON_BOOL, false, 0, 1, NULL, &w->late, NULL },
		{ "part", JSON_OBJECT, false, 0, 0, &w->part, NULL, &w->has_part },
	};
	*r = (struct reading){ .ok = false };
	arena_init(&r->arena);
	r->ok = json_read(&r->arena, body, fields, COUNT_OF(fields), &r->is_json, &r->problem);
}

static void release(struct reading *r)
{
	arena_release(&r->arena);
}

static void a_body_fills_the_fields(void **state)
{
	(void)state;
	struct reading r;
	read_body(
		&r,
		STR(" {\"amount\": 7,\n\t\"name\": \"a\\u00e9\\\"\\ud83d\\ude00\", \"other\": [1, {}], \"limit\": -5}\r\n"));
	expect(r.ok, "%s", r.problem);
	assert_true(r.is_json);
	assert_null(r.problem);
	assert_int_equal(r.wish.amount, 7);
	assert_true(str_eq(r.wish.name, STR("a\xc3\xa9\"\xf0\x9f\x98\x80")));
	assert_int_equal(r.wish.name.p[r.wish.name.n], '\0');
	assert_false(r.wish.has_note);
	assert_true(r.wish.has_limit);
	assert_int_equal(r.wish.limit, -5);
	release(&r);
}

static void null_is_absent(void **state)
{
	(void)state;
	struct reading r;
	read_body(&r, STR("{\"name\":\"x\",\"amount\":1,\"note\":null}"));
	assert_true(r.ok);
	assert_false(r.wish.has_note);
	release(&r);
	read_body(&r, STR("{\"name\":null,\"amount\":1}"));
	assert_false(r.ok);
	assert_non_null(strstr(r.problem, "name"));
	release(&r);
}

static void true_and_false_are_numbers(void **state)
{
	(void)state;
	static const struct {
		struct str body;
		int64_t value;
	} rows[] = { { BYTES("{\"name\":\"x\",\"amount\":1,\"late\":true}"), 1 },
		     { BYTES("{\"late\":false,\"name\":\"x\",\"amount\":1}"), 0 } };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reading r;
		read_body(&r, rows[i].body);
		expect(r.ok && r.wish.late == rows[i].value, "%s", r.problem);
		release(&r);
	}
}

/* A good body with one mistake. */
#define WITH(members)    "{\"name\":\"x\",\"amount\":1," members "}"
#define AMOUNT(value)    "{\"name\":\"x\",\"amount\":" value "}"
#define NAME(characters) "{\"amount\":1,\"name\":\"" characters "\"}"

/* The JSON of a member that is an object is given as it was sent, so that it can be read as strictly as the whole. */
static void a_part_is_an_object_of_its_own(void **state)
{
	(void)state;
	static const struct {
		struct str body;
		const char *part; /* NULL: refused */
	} rows[] = {
		{ BYTES(WITH("\"part\":{}")), "{}" },
		{ BYTES(WITH("\"part\" : \t{\"a\":[1,{}],\"b\":\"}\\\",\"}")), "{\"a\":[1,{}],\"b\":\"}\\\",\"}" },
		{ BYTES(WITH("\"p\\u0061rt\":{\"name\":1, \"name\":2}")), "{\"name\":1, \"name\":2}" },
		{ BYTES("{\"part\":{\"x\":1} , \"name\":\"x\",\"amount\":1}"), "{\"x\":1} " },
		{ BYTES(WITH("\"part\":[]")), NULL },
		{ BYTES(WITH("\"part\":\"{}\"")), NULL },
		{ BYTES(WITH("\"part\":1")), NULL },
		{ BYTES(WITH("\"part\":{},\"part\":{}")), NULL },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reading r;
		read_body(&r, rows[i].body);
		expect(r.ok == (rows[i].part != NULL), "%s: %s", rows[i].body.p, r.problem);
		expect(!r.ok || (r.wish.has_part && str_eq(r.wish.part, str_of(rows[i].part))), "%s: %.*s",
		       rows[i].body.p, (int)r.wish.part.n, r.wish.part.p);
		expect(r.ok || strstr(r.problem, "part"), "%s", r.problem);
		release(&r);
	}
}

static void what_is_good_passes(void **state)
{
	(void)state;
	static const struct str rows[] = {
		BYTES(AMOUNT("1")),
		BYTES(AMOUNT("1000000000")),
		BYTES(NAME("123456789012")),
		BYTES(NAME("\\n")),
		BYTES(NAME("\xf4\x8f\xbf\xbf")),
		BYTES(NAME("\x7f")),
		BYTES(NAME("{[:,]}")),
		BYTES(NAME("\\\"amount\\\":2")), /* looks like a member, inside a string */
		BYTES(WITH("\"note\":\"\"")),
		BYTES(WITH("\"limit\":0")),
		BYTES(WITH("\"unknown\":true")),
		BYTES(WITH("\"nested\":{\"amount\":2,\"name\":3}")), /* other members of the same names */
		BYTES(WITH("\"deep\":[[[[[[[]]]]]]]")),
		BYTES(WITH("\"deep\":[[[[[[[1,null,\"[[\"]]]]]]]")),
		BYTES(WITH("\"wide\":[[],{},[],{},[],{},[],{},[],{}]")),
		BYTES("\t" AMOUNT("1") " \r\n\t"),
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reading r;
		read_body(&r, rows[i]);
		expect(r.ok, "%s: %s", rows[i].p, r.problem);
		release(&r);
	}
}

static void what_is_no_json_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct str body;
	} rows[] = {
		{ "nothing", BYTES("") },
		{ "white space", BYTES("  \n") },
		{ "an array", BYTES("[]") },
		{ "a string", BYTES("\"name\"") },
		{ "a number", BYTES("12") },
		{ "null", BYTES("null") },
		{ "cut short", BYTES("{\"name\":\"x\",\"amount\":1") },
		{ "cut in a string", BYTES("{\"name\":\"x") },
		{ "cut in an escape", BYTES("{\"name\":\"\\u00") },
		{ "cut in a character", BYTES("{\"name\":\"\xe4\xbd") },
		{ "trailing data", BYTES(AMOUNT("1") "x") },
		{ "a second value", BYTES(AMOUNT("1") AMOUNT("2")) },
		{ "trailing NUL", BYTES(AMOUNT("1") "\0") },
		{ "NUL and more", BYTES(AMOUNT("1") "\0{}") },
		{ "a form", BYTES("name=x&amount=1") },
		{ "a comment", BYTES("/* c */" AMOUNT("1")) },
		{ "a trailing comma", BYTES("{\"name\":\"x\",\"amount\":1,}") },
		{ "no comma", BYTES("{\"name\":\"x\" \"amount\":1}") },
		{ "no colon", BYTES("{\"name\" \"x\"}") },
		{ "single quotes", BYTES("{'name':'x','amount':1}") },
		{ "single quotes further behind", BYTES(WITH("'other':1")) },
		{ "single quotes around a double one", BYTES("{\"name\":\"x\",\"amount\":1,'a\"\\u0041':1}") },
		{ "a bare name", BYTES("{name:\"x\",\"amount\":1}") },
		{ "a byte order mark", BYTES("\xef\xbb\xbf" AMOUNT("1")) },
		{ "UTF-16", BYTES("\xff\xfe{\0}\0") },
		{ "TRUE", BYTES(WITH("\"unknown\":TRUE")) },
		{ "an unknown escape", BYTES(NAME("\\x41")) },
		{ "a number with a leading zero", BYTES(AMOUNT("01")) },
		{ "a number of zeros", BYTES(WITH("\"unknown\":00")) },
		{ "a negative one", BYTES(WITH("\"unknown\":-00")) },
		{ "a number with a sign", BYTES(AMOUNT("+1")) },
		{ "a number without digits", BYTES(AMOUNT("-")) },
		{ "a hexadecimal number", BYTES(AMOUNT("0x10")) },
		{ "a number with a point behind", BYTES(AMOUNT("1.")) },
		{ "a number with a point in front", BYTES(AMOUNT(".5")) },
		{ "a point, then an exponent", BYTES(WITH("\"unknown\":[5.e1]")) },
		{ "nul", BYTES(WITH("\"unknown\":nul")) },
		{ "nan", BYTES(WITH("\"unknown\":nan")) },
		{ "truefalse", BYTES(WITH("\"unknown\":truefalse")) },
		{ "nine levels", BYTES(WITH("\"deep\":[[[[[[[[]]]]]]]]")) },
		{ "nine levels and a number", BYTES(WITH("\"deep\":[[[[[[[[1]]]]]]]]")) },
		{ "thousands of levels",
		  BYTES("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[") },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reading r;
		read_body(&r, rows[i].body);
		expect(!r.ok, "%s", rows[i].what);
		expect(!r.is_json, "%s: %s", rows[i].what, r.problem);
		expect(r.problem && *r.problem, "%s", rows[i].what);
		release(&r);
	}
}

struct body {
	const char *what;
	struct str body;
};

static void all_are_refused(const struct body *rows, size_t count)
{
	int failed = 0;
	for (size_t i = 0; i < count; i++) {
		struct reading r;
		read_body(&r, rows[i].body);
		if (r.ok)
			print_error("%s: accepted\n", rows[i].what);
		failed += r.ok;
		release(&r);
	}
	assert_int_equal(failed, 0);
}

/* Bodies that RFC 8259 does not allow and json-c does. */
static void what_json_c_lets_pass_is_refused(void **state)
{
	(void)state;
	static const struct body rows[] = {
		{ "NaN", BYTES(AMOUNT("NaN")) },
		{ "Infinity", BYTES(AMOUNT("Infinity")) },
		{ "-Infinity", BYTES(AMOUNT("-Infinity")) },
		{ "1e400", BYTES(AMOUNT("1e400")) },
		{ "a string for a number", BYTES(AMOUNT("\"12\"")) },
		{ "12abc for a number", BYTES(AMOUNT("\"12abc\"")) },
		{ "true for a number", BYTES(AMOUNT("true")) },
		{ "a number for true", BYTES(WITH("\"late\":1")) },
		{ "a string for true", BYTES(WITH("\"late\":\"true\"")) },
		{ "a list for true", BYTES(WITH("\"late\":[true]")) },
		{ "a fraction", BYTES(AMOUNT("1.5")) },
		{ "a small fraction", BYTES(AMOUNT("1.0000000001")) },
		{ "a fraction by its exponent", BYTES(AMOUNT("15e-1")) },
		{ "out of bounds by its exponent", BYTES(AMOUNT("1e10")) },
		{ "2^63", BYTES(AMOUNT("9223372036854775808")) },
		{ "2^64", BYTES(AMOUNT("18446744073709551616")) },
		{ "2^64 + 1", BYTES(AMOUNT("18446744073709551617")) },
		{ "a huge negative number", BYTES(AMOUNT("-99999999999999999999999")) },
		{ "the same member twice", BYTES(WITH("\"amount\":2")) },
		{ "the same member and value twice", BYTES(WITH("\"amount\":1")) },
		{ "a member, then null", BYTES(WITH("\"limit\":2,\"limit\":null")) },
		{ "null, then a member", BYTES(WITH("\"limit\":null,\"limit\":2")) },
		{ "a member, then its name escaped", BYTES(WITH("\"\\u0061mount\":2")) },
		{ "NUL, escaped", BYTES(NAME("a\\u0000b")) },
		{ "NUL", BYTES(NAME("a\0b")) },
		{ "a raw line feed", BYTES(NAME("a\nb")) },
		{ "a raw tabulator", BYTES(NAME("a\tb")) },
		{ "a raw 01", BYTES(NAME("a\x01")) },
		{ "overlong NUL", BYTES(NAME("\xc0\x80")) },
		{ "overlong /", BYTES(NAME("\xc0\xaf")) },
		{ "overlong / of three bytes", BYTES(NAME("\xe0\x80\xaf")) },
		{ "a surrogate as UTF-8", BYTES(NAME("\xed\xa0\x80")) },
		{ "FF", BYTES(NAME("\xff")) },
		{ "a continuation alone", BYTES(NAME("\x80")) },
		{ "half a pair of surrogates", BYTES(NAME("\\ud800")) },
		{ "the other half", BYTES(NAME("\\udc00")) },
		{ "a half and text", BYTES(NAME("\\ud83dx")) },
		{ "two first halves", BYTES(NAME("\\ud83d\\ud83d")) },
	};
	all_are_refused(rows, COUNT_OF(rows));
}

/* Members that are not fields are ignored, but they must be JSON, too. */
static void ignored_members_must_be_json_too(void **state)
{
	(void)state;
	static const struct body rows[] = {
		{ "NaN", BYTES(WITH("\"unknown\":NaN")) },
		{ "Infinity", BYTES(WITH("\"unknown\":[-Infinity]")) },
		{ "a raw line feed", BYTES(WITH("\"unknown\":\"\n\"")) },
		{ "overlong /", BYTES(WITH("\"unknown\":\"\xc0\xaf\"")) },
		{ "FF in a member's name", BYTES(WITH("\"\xff\":1")) },
	};
	all_are_refused(rows, COUNT_OF(rows));
}

static void a_problem_names_the_member(void **state)
{
	(void)state;
	static const struct {
		struct str body;
		const char *member, *says;
	} rows[] = {
		{ BYTES("{\"name\":\"x\"}"), "amount", "missing" },
		{ BYTES("{\"amount\":1}"), "name", "missing" },
		{ BYTES("{\"amount\":1,\"name\":[]}"), "name", "string" },
		{ BYTES("{\"amount\":1,\"name\":5}"), "name", "string" },
		{ BYTES(NAME("")), "name", "1 to 12" },
		{ BYTES(NAME("1234567890123")), "name", "1 to 12" },
		{ BYTES(AMOUNT("0")), "amount", "from 1 to 1000000000" },
		{ BYTES(AMOUNT("1000000001")), "amount", "from 1 to 1000000000" },
		{ BYTES(AMOUNT("-1")), "amount", "from 1 to" },
		{ BYTES(AMOUNT("{}")), "amount", "whole number" },
		{ BYTES(WITH("\"limit\":-6")), "limit", "from -5" },
		{ BYTES(WITH("\"note\":\"123456789012345678901\"")), "note", "0 to 20" },
		{ BYTES(WITH("\"note\":true")), "note", "string" },
		{ BYTES(WITH("\"amount\":2")), "amount", "twice" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reading r;
		read_body(&r, rows[i].body);
		expect(!r.ok && r.is_json, "%s", rows[i].body.p);
		expect(strstr(r.problem, rows[i].member) && strstr(r.problem, rows[i].says), "%s: %s", rows[i].body.p,
		       r.problem);
		release(&r);
	}
}

/* RFC 8259, section 6, against every spelling of up to five of these characters. */
static void numbers_are_those_of_rfc_8259(void **state)
{
	(void)state;
	static const char characters[] = "01-+.eE";
	enum { KINDS = sizeof characters - 1, LENGTH = 5 };
	regex_t number;
	int wrong = 0, valid = 0;
	assert_int_equal(regcomp(&number, "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$", REG_EXTENDED | REG_NOSUB), 0);
	for (int length = 1, spellings = KINDS; length <= LENGTH; length++, spellings *= KINDS)
		for (int i = 0; i < spellings; i++) {
			char text[LENGTH + 1] = "", body[64];
			for (int k = 0, rest = i; k < length; k++, rest /= KINDS)
				text[k] = characters[rest % KINDS];
			bool is_number = regexec(&number, text, 0, NULL, 0) == 0;
			for (int behind = 0; behind <= 1; behind++) {
				struct reading r;
				snprintf(body, sizeof body, behind ? AMOUNT("1") "%s" : WITH("\"x\":[%s]"), text);
				read_body(&r, str_of(body));
				if (r.is_json != (is_number && !behind) && wrong++ < 20)
					print_error("%s: %s\n", body, r.is_json ? "accepted" : r.problem);
				release(&r);
			}
			valid += is_number;
		}
	regfree(&number);
	assert_int_equal(wrong, 0);
	assert_in_range(valid, 100, 10000);
}

/* OpenAPI: an integer is a number without a fraction, however it is written. */
static void integers_in_any_spelling(void **state)
{
	(void)state;
	static const struct {
		struct str body;
		int64_t amount;
	} rows[] = {
		{ BYTES(AMOUNT("5.0")), 5 },	   { BYTES(AMOUNT("5.000")), 5 },   { BYTES(AMOUNT("5e0")), 5 },
		{ BYTES(AMOUNT("1e3")), 1000 },	   { BYTES(AMOUNT("1.5E+1")), 15 }, { BYTES(AMOUNT("20e-1")), 2 },
		{ BYTES(AMOUNT("1e9")), 1000000000 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reading r;
		read_body(&r, rows[i].body);
		expect(r.ok, "%s: %s", rows[i].body.p, r.problem);
		expect(r.wish.amount == rows[i].amount, "%s: %lld", rows[i].body.p, (long long)r.wish.amount);
		release(&r);
	}
	struct reading r;
	read_body(&r, STR(WITH("\"limit\":-5.0")));
	expect(r.ok && r.wish.limit == -5, "%s", r.problem);
	release(&r);
	read_body(&r, STR(WITH("\"limit\":-0.0")));
	expect(r.ok && r.wish.limit == 0, "%s", r.problem);
	release(&r);
	read_body(&r, STR(WITH("\"limit\":9.3e18"))); /* more than an int64_t: no undefined conversion */
	expect(!r.ok && r.is_json && strstr(r.problem, "limit"), "%s", r.problem);
	release(&r);
}

static void a_text_of_another_length_names_its_bounds(void **state)
{
	(void)state;
	struct reading r;
	read_body(&r, STR(WITH("\"code\":\"x\"")));
	expect(!r.ok && strcmp(r.problem, "code must be 3 bytes long") == 0, "%s", r.problem);
	release(&r);
	read_body(&r, STR(NAME("")));
	expect(!r.ok && strcmp(r.problem, "name must be 1 to 12 bytes long") == 0, "%s", r.problem);
	release(&r);
}

/* A body that is not an object has a problem text of its own. */
static void a_body_that_is_no_object_says_why(void **state)
{
	(void)state;
	static const struct {
		struct str body;
		const char *says;
	} rows[] = {
		{ BYTES("null"), "must be a JSON object" },
		{ BYTES("true"), "must be a JSON object" },
		{ BYTES("12"), "must be a JSON object" },
		{ BYTES("-0.5e1"), "must be a JSON object" },
		{ BYTES("\"x\""), "must be a JSON object" },
		{ BYTES("[]\n"), "must be a JSON object" },
		{ BYTES("12 "), "must be a JSON object" },
		{ BYTES(""), "empty" },
		{ BYTES(" \n"), "empty" },
		{ BYTES("{\"name\":"), "ends early" },
		{ BYTES("{\"name\":12"), "ends early" },
		{ BYTES("{\"name\":\"x"), "ends early" },
		{ BYTES("\xef\xbb\xbf" AMOUNT("1")), "byte order mark" },
		{ BYTES(WITH("\"deep\":[[[[[[[[1]]]]]]]]")), "8 levels" },
		{ BYTES(AMOUNT("1.")), "number" },
		{ BYTES(AMOUNT("00")), "number" },
		{ BYTES(AMOUNT("NaN")), "byte 21" },
		{ BYTES(WITH("'x':1")), "byte 23" },
		{ BYTES(NAME("a\nb")), "control character" },
		{ BYTES(NAME("\\udc00")), "surrogate" },
		{ BYTES(NAME("\xff")), "UTF-8" },
		{ BYTES(AMOUNT("1") "{}"), "byte 23" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reading r;
		read_body(&r, rows[i].body);
		expect(!r.ok && !r.is_json && strstr(r.problem, rows[i].says), "%s: %s", rows[i].body.p, r.problem);
		release(&r);
	}
}

/* No change to the bytes of a good body corrupts memory: for the sanitizers. */
static void random_bodies_do_no_harm(void **state)
{
	(void)state;
	static const char good[] = WITH("\"part\":{\"q\":[{}]},\"note\":\"a\\u00e9\\ud83d\\ude00\",\"limit\":-5,\"x\":[1,{\"y\":null}]");
	static const char bytes[] = "\"\\{}[]:,0-e.u\0\n\x80\xc0\xff tfn";
	srand(2);
	for (int round = 0; round < 20000; round++) {
		char body[sizeof good];
		memcpy(body, good, sizeof good);
		for (int k = rand() % 4; k >= 0; k--)
			body[rand() % (sizeof good - 1)] = bytes[rand() % (sizeof bytes - 1)];
		struct reading r;
		read_body(&r, (struct str){ body, sizeof good - 1 - (size_t)(rand() % 3 == 0 ? rand() % 20 : 0) });
		assert_true(r.ok == !r.problem);
		assert_true(r.is_json || !r.ok);
		release(&r);
	}
}

UNIT_MAIN(cmocka_unit_test(a_body_fills_the_fields), cmocka_unit_test(null_is_absent), cmocka_unit_test(true_and_false_are_numbers),
	  cmocka_unit_test(a_part_is_an_object_of_its_own),
	  cmocka_unit_test(what_is_good_passes), cmocka_unit_test(what_is_no_json_is_refused),
	  cmocka_unit_test(what_json_c_lets_pass_is_refused), cmocka_unit_test(ignored_members_must_be_json_too),
	  cmocka_unit_test(a_problem_names_the_member), cmocka_unit_test(numbers_are_those_of_rfc_8259),
	  cmocka_unit_test(integers_in_any_spelling), cmocka_unit_test(a_text_of_another_length_names_its_bounds),
	  cmocka_unit_test(integers_in_any_spelling), cmocka_unit_test(a_body_that_is_no_object_says_why),
	  cmocka_unit_test(random_bodies_do_no_harm))
