/* Reads untrusted text: numbers, encodings, UTF-8 names. Functions that allocate take an arena. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

#include "base/arena.h"

/*
 * The limit of every number that is read from a store: 2^53, up to which Lua's doubles are exact. A sum of 512 such
 * numbers fits in 64 bits, and so does a number of seconds that is converted to milliseconds.
 */
#define NUMBER_MAX ((int64_t)1 << 53)

/* Reads a decimal number within bounds. The text must have nothing else: no '+', no spaces. */
bool parse_int(struct str text, int64_t min, int64_t max, int64_t *value);

/* Valid UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
bool parse_is_utf8(struct str text);

/*
 * A username or a coupon's name: 1 to 60 characters of UTF-8, no control
 * characters (C0, DEL, C1, U+2028, U+2029, bidi overrides) and no '/';
 * not "." or "..", which no path can hold.
 */
bool parse_is_name(struct str text);
#define PARSE_NAME_RULE "must be 1 to 60 characters of UTF-8 without control characters or /, and not . or .."

/*
 * The number of characters of one line of UTF-8; 0: it is empty, or not UTF-8, or has a control character, as for
 * parse_is_name.
 */
size_t parse_line(struct str text);

/* Whether nothing of this UTF-8 can be seen: only spaces and invisible characters, or nothing at all. */
bool parse_is_blank(struct str text);

/*
 * A name for a new user or coupon: parse_is_name accepts it, it is not blank, and it has no invisible character, that
 * is, no noncharacter and no character that Unicode calls ignorable or a format character (except the two variation
 * selectors of emoji, behind a symbol). Older names may break this rule, so names that are looked up must only be
 * checked by parse_is_name. NULL, or the rule that is broken ("must not be blank"), a constant or in the arena.
 */
const char *parse_new_name(struct arena *a, struct str text);

/* Reads base64url without padding (RFC 4648 section 5). Unused bits must be zero, so bytes have only one spelling. */
bool parse_base64url(struct arena *a, struct str text, struct str *bytes);

/* Decodes %XX (RFC 3986), in the arena. False: two hexadecimal digits do not follow a %. */
bool parse_percent(struct arena *a, struct str text, struct str *decoded);

/* Takes the text before the next `separator`, and the separator, from *rest. False: nothing is left (p is NULL). */
bool parse_split(struct str *rest, char separator, struct str *piece);

#endif
