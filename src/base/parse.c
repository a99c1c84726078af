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

/* Bytes of the character at p, its code point in *code; 0 when it is not UTF-8. */
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

bool parse_is_name(struct str text)
{
	size_t characters = 0;
	uint32_t code;
	for (size_t i = 0, n; i < text.n; i += n, characters++) {
		n = character((const unsigned char *)text.p + i, text.n - i, &code);
		if (!n || is_control(code) || code == '/')
			return false;
	}
	return characters >= 1 && characters <= 60 && !str_eq(text, STR(".")) && !str_eq(text, STR(".."));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool parse_percent(struct arena *a, struct str text, struct str *decoded)
{
	if (!text.n || !memchr(text.p, '%', text.n)) {
		*decoded = text;
		return true;
	}
	char *to = arena_alloc(a, text.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '%') {
			to[n++] = text.p[i];
			continue;
		}
		if (text.n - i < 3 || hex(text.p[i + 1]) < 0 || hex(text.p[i + 2]) < 0)
			return false;
		to[n++] = (char)(hex(text.p[i + 1]) << 4 | hex(text.p[i + 2]));
		i += 2;
	}
	*decoded = (struct str){ to, n };
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
