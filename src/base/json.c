/*
 * The only includer of json-c. json-c 0.16 is lenient where it hurts (NaN,
 * numbers that saturate, duplicates where the last one wins), so types and
 * raw number texts are checked here.
 */
#include "base/json.h"

#include <json-c/json.h>

#include "base/parse.h"

enum { DEPTH = 8 };

static void put_object(void *object)
{
	json_object_put(object);
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
		*problem = arena_printf(a, "the body is not JSON: %s at byte %zu",
		                        error == json_tokener_continue ? "it ends early" : json_tokener_error_desc(error), end);
	else if (end != body.n)
		*problem = arena_printf(a, "the body is not JSON: something follows the value at byte %zu", end);
	else if (!json_object_is_type(object, json_type_object))
		*problem = "the body must be a JSON object";
	else
		return object;
	return NULL;
}

/* Past the string that begins after the quote at p; the end when it does not end. */
static const char *skip_string(const char *p, const char *end)
{
	while (p < end && *p != '"')
		p += *p == '\\' && p + 1 < end ? 2 : 1;
	return p;
}

static int field_of(const struct json_field *fields, int count, const char *name, size_t n)
{
	for (int i = 0; i < count; i++)
		if (strlen(fields[i].name) == n && memcmp(fields[i].name, name, n) == 0)
			return i;
	return -1;
}

/*
 * json-c keeps the last of two equal members, silently. One walk over the text, which json-c has found to be JSON,
 * sees the names of the outermost object. Returns the first field that is given twice, or NULL.
 */
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
			p = skip_string(start, end);
			int i = name_next ? field_of(fields, count, start, (size_t)(p - start)) : -1;
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
		return arena_printf(a, "%s must be %lld to %lld bytes long", f->name, (long long)f->min, (long long)f->max);
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
