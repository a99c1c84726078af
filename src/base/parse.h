/* Reading what strangers send: numbers, encodings, UTF-8 names. What allocates takes an arena. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

#include "base/arena.h"

/*
 * No number of ours is larger: 2^53, up to which Lua's doubles are exact. For what comes from a store: a sum of 512 of
 * them does not overflow, nor does one of them in seconds when it is counted in milliseconds.
 */
#define NUMBER_MAX ((int64_t)1 << 53)

/* The whole text is a decimal number within the bounds: no sign but '-', no spaces. */
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
 * A name for a new user or coupon: one that parse_is_name takes, that is not
 * blank, and has no invisible character: none that Unicode calls ignorable or
 * a format character (but the two variation selectors of emoji, behind a
 * symbol), no noncharacter. Names from before this rule may break it: look
 * names up by parse_is_name alone. NULL, or the rule that is broken ("must not
 * be blank"), static or in the arena.
 */
const char *parse_new_name(struct arena *a, struct str text);

/* base64url without padding (RFC 4648 section 5), its unused bits zero: bytes have one spelling. */
bool parse_base64url(struct arena *a, struct str text, struct str *bytes);

/* The next piece of *rest before `separator`, which is taken too. False when *rest was used up (p is NULL). */
bool parse_split(struct str *rest, char separator, struct str *piece);

#endif
