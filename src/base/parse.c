#include "base/parse.h"

bool parse_int(struct str text, int64_t min, int64_t max, int64_t *value)
{
	size_t i = text.n && text.p[0] == '-';
	int64_t n = 0, sign = i ? -1 : 1;
	if (text.n == i)
		return false;
	for (size_t k = i; k < text.n; k++) {
		if (text.p[k] < '0' || text.p[k] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, sign * (text.p[k] - '0'), &n))
			return false;
	}
	if (n < min || n > max)
		return false;
	*value = n;
	return true;
}

/* The length of the character at p, and its code point in *code; 0: not UTF-8. */
static size_t character(const unsigned char *p, size_t n, uint32_t *code)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };
	for (size_t length = 1; length <= 4; length++) {
		if ((p[0] & forms[length - 1].mask) != forms[length - 1].lead)
			continue;
		if (length > n)
			return 0;
		uint32_t c = p[0] & (unsigned char)~forms[length - 1].mask;
		for (size_t i = 1; i < length; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < forms[length - 1].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		*code = c;
		return length;
	}
	return 0;
}

bool parse_is_utf8(struct str text)
{
	uint32_t code;
	for (size_t i = 0, n; i < text.n; i += n)
		if (!(n = character((const unsigned char *)text.p + i, text.n - i, &code)))
			return false;
	return true;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t parse_line(struct str text)
{
	size_t characters = 0;
	uint32_t code;
	for (size_t i = 0, n; i < text.n; i += n, characters++) {
		n = character((const unsigned char *)text.p + i, text.n - i, &code);
		if (!n || is_control(code))
			return 0;
	}
	return characters;
}

bool parse_is_name(struct str text)
{
	size_t characters = parse_line(text);
	return characters >= 1 && characters <= 60 && !memchr(text.p, '/', text.n) && !str_eq(text, STR(".")) &&
	       !str_eq(text, STR(".."));
}

/*
 * Code points that render as nothing, or change how others are rendered: Unicode's Default_Ignorable_Code_Point and
 * General_Category Cf (version 15.1), and the noncharacters of plane 0. In ascending order.
 */
static const struct {
	uint32_t first, last;
} invisible[] = {
	{ 0xad, 0xad },       { 0x34f, 0x34f },     { 0x600, 0x605 },     { 0x61c, 0x61c },     { 0x6dd, 0x6dd },
	{ 0x70f, 0x70f },     { 0x890, 0x891 },     { 0x8e2, 0x8e2 },     { 0x115f, 0x1160 },   { 0x17b4, 0x17b5 },
	{ 0x180b, 0x180f },   { 0x200b, 0x200f },   { 0x202a, 0x202e },   { 0x2060, 0x206f },   { 0x3164, 0x3164 },
	{ 0xfdd0, 0xfdef },   { 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },   { 0xfff0, 0xfffb },
	{ 0x110bd, 0x110bd }, { 0x110cd, 0x110cd }, { 0x13430, 0x1343f }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a },
	{ 0xe0000, 0xe0fff },
};

static bool is_invisible(uint32_t c)
{
	for (size_t i = 0; i < sizeof invisible / sizeof invisible[0] && c >= invisible[i].first; i++)
		if (c <= invisible[i].last)
			return true;
	return (c & 0xfffe) == 0xfffe; /* the last two of every plane are noncharacters */
}

/* General_Category Zs, and the Braille cell without dots. */
static bool is_blank(uint32_t c)
{
	return c == ' ' || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f ||
	       c == 0x2800 || c == 0x3000;
}

bool parse_is_blank(struct str text)
{
	uint32_t code;
	for (size_t i = 0, n; i < text.n; i += n) {
		n = character((const unsigned char *)text.p + i, text.n - i, &code);
		if (!n || !(is_blank(code) || is_invisible(code)))
			return false;
	}
	return true;
}

/* Whether it is a variation selector for text or emoji at an allowed place: behind a symbol or an emoji. */
static bool is_style(uint32_t c, uint32_t before)
{
	return (c == 0xfe0e || c == 0xfe0f) &&
	       ((before >= 0x203c && before <= 0x2bff) || (before >= 0x1f000 && before <= 0x1faff));
}

const char *parse_new_name(struct arena *a, struct str text)
{
	bool seen = false;
	uint32_t code, before = 0;
	if (!parse_is_name(text))
		return PARSE_NAME_RULE;
	for (size_t i = 0; i < text.n; before = code) {
		i += character((const unsigned char *)text.p + i, text.n - i, &code);
		bool style = is_style(code, before);
		if (is_invisible(code) && !style)
			return arena_printf(a, "must not have an invisible character (U+%04X)", (unsigned)code);
		seen |= !style && !is_blank(code);
	}
	return seen ? NULL : "must not be blank";
}

/* The value of each character plus one; 0: not one of the 64 characters. */
static const unsigned char sextets[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
	['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64
};

/* Above 63: not one of the 64 characters. */
static uint32_t sextet(char c)
{
	return sextets[(unsigned char)c] - 1u;
}

bool parse_base64url(struct arena *a, struct str text, struct str *bytes)
{
	unsigned char *start = arena_alloc(a, text.n * 3 / 4 + 1), *to = start;
	const char *p = text.p;
	size_t rest = text.n % 4;
	uint32_t seen = 0, unused = 0;
	for (size_t groups = text.n / 4; groups; groups--, p += 4) {
		uint32_t v[] = { sextet(p[0]), sextet(p[1]), sextet(p[2]), sextet(p[3]) };
		seen |= v[0] | v[1] | v[2] | v[3];
		*to++ = (unsigned char)(v[0] << 2 | v[1] >> 4);
		*to++ = (unsigned char)(v[1] << 4 | v[2] >> 2);
		*to++ = (unsigned char)(v[2] << 6 | v[3]);
	}
	if (rest >= 2) {
		uint32_t v[] = { sextet(p[0]), sextet(p[1]), rest == 3 ? sextet(p[2]) : 0 };
		seen |= v[0] | v[1] | v[2];
		*to++ = (unsigned char)(v[0] << 2 | v[1] >> 4);
		if (rest == 3)
			*to++ = (unsigned char)(v[1] << 4 | v[2] >> 2);
		unused = rest == 3 ? v[2] & 3 : v[1] & 15;
	}
	*bytes = (struct str){ (char *)start, (size_t)(to - start) };
	return rest != 1 && seen <= 63 && unused == 0;
}

/* Above 15: not a hexadecimal digit. */
static unsigned hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
}

bool parse_percent(struct arena *a, struct str text, struct str *decoded)
{
	char *start = arena_alloc(a, text.n + 1), *to = start;
	for (size_t i = 0; i < text.n; i++) {
		unsigned byte = (unsigned char)text.p[i];
		if (text.p[i] == '%') {
			if (text.n - i < 3 || hex_digit(text.p[i + 1]) > 15 || hex_digit(text.p[i + 2]) > 15)
				return false;
			byte = hex_digit(text.p[i + 1]) << 4 | hex_digit(text.p[i + 2]);
			i += 2;
		}
		*to++ = (char)byte;
	}
	*decoded = (struct str){ start, (size_t)(to - start) };
	return true;
}

bool parse_split(struct str *rest, char separator, struct str *piece)
{
	if (!rest->p)
		return false;
	const char *at = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
	if (!at) {
		*piece = *rest;
		*rest = (struct str){ 0 };
		return true;
	}
	size_t n = (size_t)(at - rest->p);
	*piece = (struct str){ rest->p, n };
	*rest = (struct str){ at + 1, rest->n - n - 1 };
	return true;
}
