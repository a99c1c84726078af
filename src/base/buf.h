/* A text that grows in an arena: bodies, headers, SQL of repeated rows, JSON. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdint.h>

#include "base/arena.h"

struct buf {
	struct arena *arena;
	char *p; /* NUL-terminated once anything was put */
	size_t n, cap;
};

/* Writes a number in decimal, without a NUL; returns its length. snprintf takes ten times as long. */
enum { BUF_DIGITS = 20 };
size_t buf_digits(char to[BUF_DIGITS], int64_t value);

void buf_init(struct buf *b, struct arena *arena);
void buf_put(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *s);
void buf_int(struct buf *b, int64_t value);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Percent-encodes all but RFC 3986's unreserved characters: one segment of a path. */
void buf_percent(struct buf *b, struct str s);

/* The slice written so far, valid until the next put. */
struct str buf_str(const struct buf *b);

/*
 * Writing JSON. Commas are added where they are due; the caller nests begin and end. `name` is NULL inside an array.
 * Strings are escaped; they must be UTF-8.
 */
void json_begin(struct buf *b, const char *name, char bracket); /* '{' or '[' */
void json_end(struct buf *b, char bracket);                     /* '}' or ']' */
void json_str(struct buf *b, const char *name, struct str value);
void json_int(struct buf *b, const char *name, int64_t value);
void json_bool(struct buf *b, const char *name, bool value);
void json_time(struct buf *b, const char *name, int64_t ms); /* RFC 3339 UTC; null below 1 */

#endif
