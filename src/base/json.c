/*
 * json-c 0.16 accepts too much: numbers that JSON does not allow, numbers that saturate, and duplicate members, of
 * which it keeps the last. Therefore the tokens of a text are checked here first; json-c checks the structure.
 */
#include "base/json.h"

#include <json-c/json.h>

#include "base/alloc.h"
#include "base/parse.h"

enum { DEPTH = 8 };

static void put_object(void *object)
{
	json_object_put(object);
}

/* Tokens (RFC 8259, sections 2 to 7). Each function returns the end of the token at p, NULL when there is none. */

static bool is_half(const char *p, const char *end, char least, char most)
{
	return end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (p[2] | 0x20) == 'd' && (p[3] | 0x20) >= least &&
	       (p[3] | 0x20) <= most;
}

/* \uD800 to \uDBFF are first halves of a surrogate pair, \uDC00 to \uDFFF second halves: the second digit decides. */
static bool is_first_half(const char *p, const char *end)
{
	return is_half(p, end, '8', '9') || is_half(p, end, 'a', 'b');
}

static bool is_second_half(const char *p, const char *end)
{
	return is_half(p, end, 'c', 'f');
}

/* The closing quote of the string that begins at p; `end` if the text ends inside the string. */
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

static const char *walk_digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

static const char *walk_number(const char *p, const char *end)
{
	const char *start = *p == '-' ? p + 1 : p;
	p = walk_digits(start, end);
	if (p == start || (*start == '0' && p - start > 1))
		return NULL;
	if (p < end && *p == '.') {
		start = p + 1;
		if ((p = walk_digits(start, end)) == start)
			return NULL;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		start = p < end && (*p == '+' || *p == '-') ? p + 1 : p;
		if ((p = walk_digits(start, end)) == start)
			return NULL;
	}
	return p < end && memchr("+-.eE0123456789", *p, 15) ? NULL : p;
}

static const char *walk_word(const char *p, const char *end)
{
	static const struct str words[] = { STR("true"), STR("false"), STR("null") };
	struct str text = { p, (size_t)(end - p) };
	for (int i = 0; i < 3; i++)
		if (str_starts(text, words[i]))
			return p + words[i].n;
	return NULL;
}

/* Moves *p behind the token at *p, and returns NULL; or returns what is wrong with the token. */
static const char *walk_token(const char **p, const char *end, int *depth)
{
	char c = **p;
	const char *next = *p + 1, *problem = "a character that is not allowed here";
	if (c == '{' || c == '[') {
		if (++*depth > DEPTH)
			return "more than 8 levels of nesting";
	} else if (c == '}' || c == ']') {
		--*depth;
	} else if (c == '"') {
		problem = "a string with a control character or half a surrogate pair";
		next = walk_string(*p + 1, end);
		if (next && next < end)
			next++;
	} else if (c == '-' || c == '+' || c == '.' || is_digit(c)) {
		problem = "a number that JSON does not allow";
		next = walk_number(*p, end);
	} else if (!memchr(",: \t\n\r", c, 6)) {
		next = walk_word(*p, end);
	}
	if (!next)
		return problem;
	*p = next;
	return NULL;
}

/* NULL, or what is wrong with the bytes and tokens of a text. */
static const char *check_tokens(struct arena *a, struct str text)
{
	const char *p = text.p, *end = p + text.n, *problem;
	int depth = 0;
	if (str_starts(text, STR("\xef\xbb\xbf")))
		return "the body is not JSON: it begins with a byte order mark";
	if (!parse_is_utf8(text))
		return "the body is not JSON: it has bytes that are not UTF-8";
	while (p < end)
		if ((problem = walk_token(&p, end, &depth)))
			return arena_printf(a, "the body is not JSON: %s at byte %zu", problem, (size_t)(p - text.p));
	return NULL;
}

/* json-c counts a scalar as a level; and if a scalar is at the end of the text, json-c waits for more. */
static json_object *parse_structure(struct arena *a, struct str text, const char **problem)
{
	json_tokener *tok = alloc_checked(json_tokener_new_ex(DEPTH + 1));
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	json_object *object = json_tokener_parse_ex(tok, text.p, (int)text.n);
	size_t end = json_tokener_get_parse_end(tok);
	if (json_tokener_get_error(tok) == json_tokener_continue)
		object = json_tokener_parse_ex(tok, " ", 1);
	enum json_tokener_error error = json_tokener_get_error(tok);
	json_tokener_free(tok);
	if (object)
		arena_defer(a, put_object, object);
	if (error == json_tokener_continue)
		*problem = "the body is not JSON: it is empty or ends early";
	else if (error != json_tokener_success)
		*problem = arena_printf(a, "the body is not JSON: %s at byte %zu", json_tokener_error_desc(error), end);
	return object;
}

static json_object *parse_object(struct arena *a, struct str body, const char **problem)
{
	*problem = check_tokens(a, body);
	json_object *object = *problem ? NULL : parse_structure(a, body, problem);
	if (!*problem && !json_object_is_type(object, json_type_object))
		*problem = "the body must be a JSON object";
	return *problem ? NULL : object;
}

static int field_of(const struct json_field *fields, int count, const char *name, size_t n)
{
	for (int i = 0; i < count; i++)
		if (strlen(fields[i].name) == n && memcmp(fields[i].name, name, n) == 0)
			return i;
	return -1;
}

/* The name of a member may have escapes, which json-c decodes. */
static int field_of_escaped(const struct json_field *fields, int count, const char *quoted, size_t n)
{
	json_tokener *tok = alloc_checked(json_tokener_new());
	json_object *name = json_tokener_parse_ex(tok, quoted, (int)n);
	int i = field_of(fields, count, json_object_get_string(name), (size_t)json_object_get_string_len(name));
	json_object_put(name);
	json_tokener_free(tok);
	return i;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The end of the value at p: of the outermost object's, or of the text. */
static const char *walk_value(const char *p, const char *end)
{
	for (int depth = 0; p < end; p++) {
		if (*p == '"')
			p = walk_string(p + 1, end);
		else if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && --depth < 0)
			break;
		else if (*p == ',' && depth == 0)
			break;
	}
	return p;
}

/*
 * Moves *p behind the next member of the outermost object, and sets its name, with the quotes, and its value. Only for
 * a text that json-c has accepted.
 */
static bool next_member(const char **p, const char *end, struct str *name, struct str *value)
{
	const char *start = memchr(*p, '"', (size_t)(end - *p));
	if (!start)
		return false;
	const char *behind = walk_string(start + 1, end) + 1;
	*name = (struct str){ start, (size_t)(behind - start) };
	const char *from = (const char *)memchr(behind, ':', (size_t)(end - behind)) + 1;
	*p = walk_value(from, end);
	while (is_space(*from))
		from++;
	*value = (struct str){ from, (size_t)(*p - from) };
	return true;
}

/*
 * Sets the text of the fields that are objects. The first field that the outermost object has twice, or NULL: json-c
 * would keep the last one.
 */
static const char *find_members(struct str body, const struct json_field *fields, int count)
{
	const char *p = body.p, *end = body.p + body.n;
	struct str name, value;
	uint64_t seen = 0;
	while (next_member(&p, end, &name, &value)) {
		int i = memchr(name.p, '\\', name.n) ? field_of_escaped(fields, count, name.p, name.n)
						     : field_of(fields, count, name.p + 1, name.n - 2);
		if (i < 0)
			continue;
		if (seen & 1ull << i)
			return fields[i].name;
		seen |= 1ull << i;
		if (fields[i].kind == JSON_OBJECT)
			*fields[i].text = value;
	}
	return NULL;
}

static const char *read_text(struct arena *a, const struct json_field *f, json_object *value)
{
	if (!json_object_is_type(value, json_type_string))
		return arena_printf(a, "%s must be a string", f->name);
	struct str text = { json_object_get_string(value), (size_t)json_object_get_string_len(value) };
	if ((int64_t)text.n < f->min || (int64_t)text.n > f->max)
		return arena_printf(
			a, f->min == f->max ? "%s must be %lld bytes long" : "%s must be %lld to %lld bytes long",
			f->name, (long long)f->min, (long long)f->max);
	if (memchr(text.p, '\0', text.n) || !parse_is_utf8(text))
		return arena_printf(a, "%s must be UTF-8 without NUL", f->name);
	*f->text = arena_str(a, text);
	return NULL;
}

/* 5.0 and 5e0 are integers, too. A double is exact up to 2^53; a larger one becomes a number above every bound. */
static bool read_whole(json_object *value, int64_t *n)
{
	const double MOST = 0x1p53;
	if (json_object_is_type(value, json_type_int)) {
		*n = json_object_get_int64(value);
		return true;
	}
	if (!json_object_is_type(value, json_type_double))
		return false;
	double d = json_object_get_double(value);
	bool fits = d >= -MOST && d <= MOST;
	*n = fits ? (int64_t)d : d > 0 ? INT64_MAX : INT64_MIN;
	return !fits || (double)*n == d;
}

static const char *read_int(struct arena *a, const struct json_field *f, json_object *value)
{
	int64_t n;
	if (!read_whole(value, &n))
		return arena_printf(a, "%s must be a whole number", f->name);
	if (n < f->min || n > f->max)
		return arena_printf(a, "%s must be from %lld to %lld", f->name, (long long)f->min, (long long)f->max);
	*f->number = n;
	return NULL;
}

static const char *read_bool(struct arena *a, const struct json_field *f, json_object *value)
{
	if (!json_object_is_type(value, json_type_boolean))
		return arena_printf(a, "%s must be true or false", f->name);
	*f->number = json_object_get_boolean(value);
	return NULL;
}

/* Its text was set by find_members. */
static const char *check_object(struct arena *a, const struct json_field *f, json_object *value)
{
	return json_object_is_type(value, json_type_object) ? NULL : arena_printf(a, "%s must be an object", f->name);
}

static const char *read_field(struct arena *a, const struct json_field *f, json_object *object)
{
	json_object *value = NULL;
	static const char *(*const readers[])(struct arena *, const struct json_field *, json_object *) = {
		[JSON_TEXT] = read_text, [JSON_INT] = read_int, [JSON_BOOL] = read_bool, [JSON_OBJECT] = check_object
	};
	bool present = json_object_object_get_ex(object, f->name, &value) && value;
	if (f->present)
		*f->present = present;
	if (!present)
		return f->required ? arena_printf(a, "%s is missing", f->name) : NULL;
	return readers[f->kind](a, f, value);
}

bool json_read(struct arena *a, struct str body, const struct json_field *fields, int count, bool *is_json,
	       const char **problem)
{
	*problem = NULL;
	json_object *object = parse_object(a, body, problem);
	*is_json = object != NULL;
	const char *twice = object ? find_members(body, fields, count) : NULL;
	if (twice)
		*problem = arena_printf(a, "%s is given twice", twice);
	for (int i = 0; object && !*problem && i < count; i++)
		*problem = read_field(a, &fields[i], object);
	return !*problem;
}
