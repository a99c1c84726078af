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

/* json-c keeps the last of two equal members; two spellings of one field must not pass unseen. */
static bool repeated(struct str body, const char *name)
{
	size_t seen = 0, n = strlen(name);
	int depth = 0;
	for (size_t i = 0; i < body.n; i++) {
		char c = body.p[i];
		if (c == '{' || c == '[')
			depth++;
		if (c == '}' || c == ']')
			depth--;
		if (c != '"')
			continue;
		size_t start = ++i;
		for (; i < body.n && body.p[i] != '"'; i++)
			if (body.p[i] == '\\')
				i++;
		size_t after = i + 1;
		while (after < body.n && strchr(" \t\r\n", body.p[after]))
			after++;
		bool is_name = after < body.n && body.p[after] == ':';
		if (depth == 1 && is_name && i - start == n && memcmp(body.p + start, name, n) == 0)
			seen++;
	}
	return seen > 1;
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

static const char *read_field(struct arena *a, const struct json_field *f, struct str body, json_object *object)
{
	json_object *value = NULL;
	bool present = json_object_object_get_ex(object, f->name, &value) && value;
	if (f->present)
		*f->present = present;
	if (!present)
		return f->required ? arena_printf(a, "%s is missing", f->name) : NULL;
	if (repeated(body, f->name))
		return arena_printf(a, "%s is given twice", f->name);
	return f->kind == JSON_TEXT ? read_text(a, f, value) : read_int(a, f, value);
}

bool json_read(struct arena *a, struct str body, const struct json_field *fields, int count, bool *is_json,
               const char **problem)
{
	*problem = NULL;
	json_object *object = parse(a, body, problem);
	*is_json = object != NULL;
	for (int i = 0; object && !*problem && i < count; i++)
		*problem = read_field(a, &fields[i], body, object);
	return !*problem;
}
