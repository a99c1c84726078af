/*
 * Reads a JSON object from a client; buf.h writes JSON. The reader is strict: RFC 8259 in UTF-8 without a byte order
 * mark, at most 8 levels of objects and arrays, nothing after the value, exact types, no duplicate members. An integer
 * may be written as 5, 5.0 or 5e0.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdint.h>

#include "base/arena.h"

enum json_kind { JSON_TEXT, JSON_INT, JSON_BOOL, JSON_OBJECT };

/* The rule for a member, and where its value goes. */
struct json_field {
	const char *name;
	enum json_kind kind;
	bool required;
	int64_t min, max; /* TEXT: bytes; INT: value; BOOL, OBJECT: not used */
	struct str *text; /* TEXT: set, in the arena; OBJECT: its JSON, part of the body, for json_read */
	int64_t *number;  /* INT: set; BOOL: set to 0 or 1 */
	bool *present;    /* may be NULL; a member that is null counts as absent */
};

/*
 * Parses `body` and sets the fields. False: *problem, in the arena, says what is wrong and with which member; *is_json
 * is false when the body is not a JSON object. Members that are not in the table are ignored.
 */
bool json_read(struct arena *a, struct str body, const struct json_field *fields, int count, bool *is_json,
	       const char **problem);

#endif
