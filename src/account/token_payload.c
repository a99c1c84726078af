/*
 * One table of members drives both readers. json-c reads any spelling, in 33,000 instructions. libjwt writes our own
 * tokens with sorted names, without spaces and escapes: for that spelling the table is the grammar, and reading takes
 * 2,000 instructions.
 */
#include "account/token_payload.h"

#include "base/json.h"
#include "base/parse.h"

enum { MEMBERS = 9, DIGITS_MAX = 18 };

static const struct member {
	const char *name;
	enum json_kind kind;
	int64_t min, max; /* as in struct json_field */
	size_t offset;
} members[MEMBERS] = {
	/* sorted by name */
	{ "aud", JSON_TEXT, 1, 60, offsetof(struct token_payload, audience) },
	{ "exp", JSON_INT, 0, INT64_MAX / 2, offsetof(struct token_payload, expires_s) },
	{ "iat", JSON_INT, 0, INT64_MAX / 2, offsetof(struct token_payload, issued_s) },
	{ "iss", JSON_TEXT, 1, 60, offsetof(struct token_payload, issuer) },
	{ "jti", JSON_TEXT, 16, 16, offsetof(struct token_payload, id) },
	{ "kind", JSON_TEXT, 1, 8, offsetof(struct token_payload, kind) },
	{ "name", JSON_TEXT, 1, 240, offsetof(struct token_payload, name) },
	{ "nbf", JSON_INT, 0, INT64_MAX / 2, offsetof(struct token_payload, not_before_s) },
	{ "sub", JSON_TEXT, 1, 18, offsetof(struct token_payload, subject) },
};

bool token_payload_read(struct arena *a, struct str json, struct token_payload *p)
{
	struct json_field fields[MEMBERS];
	bool is_json;
	const char *problem;
	for (int i = 0; i < MEMBERS; i++) {
		const struct member *m = &members[i];
		void *to = (char *)p + m->offset;
		fields[i] = (struct json_field){ .name = m->name, .kind = m->kind, .required = true };
		fields[i].min = m->min;
		fields[i].max = m->max;
		if (m->kind == JSON_TEXT)
			fields[i].text = to;
		else
			fields[i].number = to;
	}
	return json_read(a, json, fields, MEMBERS, &is_json, &problem);
}

/* Takes `word` from the front of *rest. False: *rest does not begin with it. */
static bool take(struct str *rest, struct str word)
{
	if (!str_starts(*rest, word))
		return false;
	*rest = (struct str){ rest->p + word.n, rest->n - word.n };
	return true;
}

/* Takes a string without escapes, and its closing quote. */
static bool take_text(struct str *rest, const struct member *m, struct str *text)
{
	size_t n = 0;
	bool ascii = true;
	for (; n < rest->n && rest->p[n] != '"'; n++) {
		unsigned char c = (unsigned char)rest->p[n];
		if (c < 0x20 || c == '\\')
			return false;
		ascii &= c < 0x80;
	}
	*text = (struct str){ rest->p, n };
	*rest = (struct str){ rest->p + n, rest->n - n };
	return (int64_t)n >= m->min && (int64_t)n <= m->max && (ascii || parse_is_utf8(*text)) && take(rest, STR("\""));
}

/* Takes a number in its shortest form, without a sign: no member may be negative. */
static bool take_int(struct str *rest, const struct member *m, int64_t *value)
{
	size_t n = 0;
	int64_t number = 0;
	for (; n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9' && n < DIGITS_MAX; n++)
		number = number * 10 + (rest->p[n] - '0');
	if (!n || (n > 1 && rest->p[0] == '0') || number < m->min || number > m->max)
		return false;
	*rest = (struct str){ rest->p + n, rest->n - n };
	*value = number;
	return true;
}

bool token_payload_read_own(struct str json, struct token_payload *p)
{
	struct str rest = json;
	for (int i = 0; i < MEMBERS; i++) {
		const struct member *m = &members[i];
		void *to = (char *)p + m->offset;
		if (!take(&rest, i ? STR(",\"") : STR("{\"")) || !take(&rest, str_of(m->name)) ||
		    !take(&rest, STR("\":")))
			return false;
		if (m->kind == JSON_TEXT ? !take(&rest, STR("\"")) || !take_text(&rest, m, to)
					 : !take_int(&rest, m, to))
			return false;
	}
	return str_eq(rest, STR("}"));
}
