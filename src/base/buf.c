/* A buffer grows by doubling inside the arena; the old copies are freed with the arena. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

void buf_init(struct buf *b, struct arena *arena)
{
	*b = (struct buf){ .arena = arena };
}

static char *buf_reserve(struct buf *b, size_t more)
{
	if (b->cap - b->n <= more) {
		size_t cap = b->cap ? b->cap * 2 : 512;
		while (cap - b->n <= more)
			cap *= 2;
		char *p = arena_alloc(b->arena, cap);
		if (b->n)
			memcpy(p, b->p, b->n);
		b->p = p;
		b->cap = cap;
	}
	return b->p + b->n;
}

void buf_put(struct buf *b, struct str s)
{
	char *to = buf_reserve(b, s.n);
	if (s.n)
		memcpy(to, s.p, s.n);
	b->n += s.n;
	b->p[b->n] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, str_of(s));
}

/* Two digits a division, because a claim writes thirty numbers of up to nineteen digits. */
size_t buf_digits(char to[BUF_DIGITS], int64_t value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
				    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";
	char digits[BUF_DIGITS], *p = digits + sizeof digits;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	for (; rest >= 10; rest /= 100)
		memcpy(p -= 2, pairs + rest % 100 * 2, 2);
	if (rest || p == digits + sizeof digits)
		*--p = (char)('0' + rest);
	if (value < 0)
		*--p = '-';
	size_t n = (size_t)(digits + sizeof digits - p);
	memcpy(to, p, n);
	return n;
}

void buf_int(struct buf *b, int64_t value)
{
	char text[BUF_DIGITS];
	buf_put(b, (struct str){ text, buf_digits(text, value) });
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		abort();
	vsnprintf(buf_reserve(b, (size_t)n), (size_t)n + 1, format, again);
	va_end(again);
	b->n += (size_t)n;
}

void buf_percent(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c && strchr("-._~", c)))
			buf_put(b, (struct str){ s.p + i, 1 });
		else
			buf_printf(b, "%%%02X", c);
	}
}

struct str buf_str(const struct buf *b)
{
	return (struct str){ b->p ? b->p : "", b->n };
}

static void put_quoted(struct buf *b, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	char *start = buf_reserve(b, s.n * 6 + 2), *to = start;
	*to++ = '"';
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '"' || c == '\\') {
			*to++ = '\\';
			*to++ = (char)c;
		} else if (c < 0x20 || c == 0x7f) {
			memcpy(to, "\\u00", 4);
			to[4] = hex[c >> 4];
			to[5] = hex[c & 15];
			to += 6;
		} else {
			*to++ = (char)c;
		}
	}
	*to++ = '"';
	*to = '\0';
	b->n += (size_t)(to - start);
}

static void put_lead(struct buf *b, const char *name)
{
	char last = b->n ? b->p[b->n - 1] : '[';
	if (last != '{' && last != '[' && last != '\n')
		buf_put(b, STR(","));
	if (name) {
		put_quoted(b, str_of(name));
		buf_put(b, STR(":"));
	}
}

void json_begin(struct buf *b, const char *name, char bracket)
{
	put_lead(b, name);
	buf_put(b, (struct str){ &bracket, 1 });
}

void json_end(struct buf *b, char bracket)
{
	buf_put(b, (struct str){ &bracket, 1 });
}

void json_str(struct buf *b, const char *name, struct str value)
{
	put_lead(b, name);
	put_quoted(b, value);
}

void json_int(struct buf *b, const char *name, int64_t value)
{
	put_lead(b, name);
	buf_int(b, value);
}

void json_bool(struct buf *b, const char *name, bool value)
{
	put_lead(b, name);
	buf_puts(b, value ? "true" : "false");
}

void json_time(struct buf *b, const char *name, int64_t ms)
{
	put_lead(b, name);
	if (ms < 1) {
		buf_puts(b, "null");
		return;
	}
	char text[CLOCK_TEXT];
	clock_format(text, ms);
	buf_printf(b, "\"%s\"", text);
}
