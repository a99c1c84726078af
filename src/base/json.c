/*
 * The only includer of json-c. json-c 0.16 is lenient where it hurts (NaN,
 * numbers that saturate, duplicates where the last one wins), so what it
 * reads is checked here, strictly.
 */
#include "base/json.h"

#include <json-c/json.h>

#include "base/parse.h"

enum { DEPTH = 8 };

static void put_object(void *object)
{
	json_object_put(object);
}

/*
 * What json-c 0.16 lets pass and RFC 8259 does not: bytes that are no UTF-8, raw control characters in strings, halves
 * of surrogate pairs, and NaN or Infinity (no other word of JSON has a capital letter but the E of an exponent).
 * One walk over the strings and what lies between them.
 */

static bool is_half(const char *p, const char *end, char least, char most)
{
	return end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (p[2] | 0x20) == 'd' && (p[3] | 0x20) >= least &&
	       (p[3] | 0x20) <= most;
}

/* \uD800 to \uDBFF and \uDC00 to \uDFFF; of their third digit only 8, 9, a, b and c to f tell. */
static bool is_first_half(const char *p, const char *end)
{
	return is_half(p, end, '8', '9') || is_half(p, end, 'a', 'b');
}

static bool is_second_half(const char *p, const char *end)
{
	return is_half(p, end, 'c', 'f');
}

/* The end of the string whose first character is at p: its closing quote, or `end`. NULL: something is in it that may
 * not be. */
static const char *walk_string(const char *p, const char *end)
{
	while (p < end && *p != '"') {
		if ((unsigned char)*p < 0x20 || is_second_half(p, end))
			return NULL;
		if (is_first_half(p, end)) {
			if (!is_second_half(p + 6, end))
				return NULL;
			p += 12;
		} else {
			p += *p == '\\' && p + 1 < end ? 2 : 1;
		}
	}
	return p;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* json-c takes 00 for 0. An exponent may begin with zeros, and a fraction. */
static bool is_padded(const char *p, const char *begin, const char *end)
{
	if (*p != '0' || end - p < 2 || !is_digit(p[1]) || p == begin)
		return false;
	if (p[-1] == '-' && p - 1 > begin)
		p--;
	return !is_digit(p[-1]) && !strchr(".eE+-", p[-1]);
}

static bool is_plain(struct str body)
{
	const char *end = body.p + body.n;
	for (const char *p = body.p; p < end; p++) {
		if ((*p >= 'A' && *p <= 'Z' && *p != 'E') || *p == '\'' || is_padded(p, body.p, end))
			return false;
		if (*p == '"' && (!(p = walk_string(p + 1, end)) || p == end))
			return false;
	}
	return parse_is_utf8(body);
}

static json_object *parse(struct arena *a, struct str body, const char **problem)
{
	json_tokener *tok = json_tokener_new_ex(DEPTH);
	if (!tok)
		abort();
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object *object = json_tokener_parse_ex(tok, body.p, (int)body.n);
	enum json_tokener_error error = json_tokener_get_error(tok);
	size_t end = json_tokener_get_parse_end(tok);
	json_tokener_free(tok);
	if (object)
		arena_defer(a, put_object, object);
	if (error != json_tokener_success)
		*problem = arena_printf(
			a, "the body is not JSON: %s at byte %zu",
			error == json_tokener_continue ? "it ends early" : json_tokener_error_desc(error), end);
	else if (end != body.n)
		*problem = arena_printf(a, "the body is not JSON: something follows the value at byte %zu", end);
	else if (!json_object_is_type(object, json_type_object))
		*problem = "the body must be a JSON object";
	else if (!is_plain(body))
		*problem =
			"the body is not JSON: it has a control character, half a surrogate pair, NaN, a single quote, zeros before a number or bytes that are no UTF-8";
	else
		return object;
	return NULL;
}

static int field_of(const struct json_field *fields, int count, const char *name, size_t n)
{
	for (int i = 0; i < count; i++)
		if (strlen(fields[i].name) == n && memcmp(fields[i].name, name, n) == 0)
			return i;
	return -1;
}

/* A member's name may be spelled with escapes; json-c reads it. */
static int field_of_escaped(const struct json_field *fields, int count, const char *quoted, size_t n)
{
	json_tokener *tok = json_tokener_new();
	if (!tok)
		abort();
	json_object *name = json_tokener_parse_ex(tok, quoted, (int)n);
	int i = field_of(fields, count, json_object_get_string(name), (size_t)json_object_get_string_len(name));
	json_object_put(name);
	json_tokener_free(tok);
	return i;
}

/* json-c keeps the last of two equal members, silently. Returns the first field that the outermost object has twice, or
 * NULL. */
static const char *repeated(struct str body, const struct json_field *fields, int count)
{
	const char *end = body.p + body.n;
	uint64_t seen = 0;
	int depth = 0;
	bool name_next = false;
	for (const char *p = body.p; p < end; p++) {
		if (*p == '{' || *p == '[') {
			depth++;
			name_next = *p == '{' && depth == 1;
		} else if (*p == '}' || *p == ']') {
			depth--;
		} else if (*p == ',') {
			name_next = depth == 1;
		} else if (*p == '"') {
			const char *start = p + 1;
			p = walk_string(start, end);
			size_t n = (size_t)(p - start);
			int i = -1;
			if (name_next)
				i = memchr(start, '\\', n) ? field_of_escaped(fields, count, start - 1, n + 2)
							   : field_of(fields, count, start, n);
			name_next = false;
			if (i < 0)
				continue;
			if (seen & 1ull << i)
				return fields[i].name;
			seen |= 1ull << i;
		}
	}
	return NULL;
}

static const char *read_text(struct arena *a, const struct json_field *f, json_object *value)
{
	if (!json_object_is_type(value, json_type_string))
		return arena_printf(a, "%s must be a string", f->name);
	struct str text = { json_object_get_string(value), (size_t)json_object_get_string_len(value) };
	if ((int64_t)text.n < f->min || (int64_t)text.n > f->max)
		return arena_printf(a, "%s must be %lld to %lld bytes long", f->name, (long long)f->min,
				    (long long)f->max);
	if (memchr(text.p, '\0', text.n) || !parse_is_utf8(text))
		return arena_printf(a, "%s must be UTF-8 without NUL", f->name);
	*f->text = arena_str(a, text);
	return NULL;
}

static const char *read_int(struct arena *a, const struct json_field *f, json_object *value)
{
	if (!json_object_is_type(value, json_type_int))
		return arena_printf(a, "%s must be a whole number", f->name);
	int64_t n = json_object_get_int64(value);
	/* A number too large for 64 bits saturates, and every bound is below that. */
	if (n < f->min || n > f->max)
		return arena_printf(a, "%s must be from %lld to %lld", f->name, (long long)f->min, (long long)f->max);
	*f->number = n;
	return NULL;
}

static const char *read_field(struct arena *a, const struct json_field *f, json_object *object)
{
	json_object *value = NULL;
	bool present = json_object_object_get_ex(object, f->name, &value) && value;
	if (f->present)
		*f->present = present;
	if (!present)
		return f->required ? arena_printf(a, "%s is missing", f->name) : NULL;
	return f->kind == JSON_TEXT ? read_text(a, f, value) : read_int(a, f, value);
}

bool json_read(struct arena *a, struct str body, const struct json_field *fields, int count, bool *is_json,
	       const char **problem)
{
	*problem = NULL;
	json_object *object = parse(a, body, problem);
	*is_json = object != NULL;
	const char *twice = object ? repeated(body, fields, count) : NULL;
	if (twice)
		*problem = arena_printf(a, "%s is given twice", twice);
	for (int i = 0; object && !*problem && i < count; i++)
		*problem = read_field(a, &fields[i], object);
	return !*problem;
}
