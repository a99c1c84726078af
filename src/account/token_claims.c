/*
 * One table of members. json-c reads any spelling of them (33,000
 * instructions); of the spelling that libjwt gives our own tokens - sorted
 * names, no spaces, nothing escaped - the table is the grammar (2,000).
 */
#include "account/token_claims.h"

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
	{ "aud", JSON_TEXT, 1, 60, offsetof(struct claims, audience) },
	{ "exp", JSON_INT, 0, INT64_MAX / 2, offsetof(struct claims, expires_s) },
	{ "iat", JSON_INT, 0, INT64_MAX / 2, offsetof(struct claims, issued_s) },
	{ "iss", JSON_TEXT, 1, 60, offsetof(struct claims, issuer) },
	{ "jti", JSON_TEXT, 16, 16, offsetof(struct claims, id) },
	{ "kind", JSON_TEXT, 1, 8, offsetof(struct claims, kind) },
	{ "name", JSON_TEXT, 1, 240, offsetof(struct claims, name) },
	{ "nbf", JSON_INT, 0, INT64_MAX / 2, offsetof(struct claims, not_before_s) },
	{ "sub", JSON_TEXT, 1, 18, offsetof(struct claims, subject) },
};

bool claims_read(struct arena *a, struct str json, struct claims *c)
{
	struct json_field fields[MEMBERS];
	bool is_json;
	const char *problem;
	for (int i = 0; i < MEMBERS; i++) {
		const struct member *m = &members[i];
		void *to = (char *)c + m->offset;
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

/* Takes `word` from the front of *rest, if it is there. */
static bool take(struct str *rest, struct str word)
{
	if (!str_starts(*rest, word))
		return false;
	*rest = (struct str){ rest->p + word.n, rest->n - word.n };
	return true;
}

/* A string that stands for itself, up to and with its closing quote. */
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

/* A number in its shortest form; no sign, since none may be below 0. */
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

bool claims_read_ours(struct str json, struct claims *c)
{
	struct str rest = json;
	for (int i = 0; i < MEMBERS; i++) {
		const struct member *m = &members[i];
		void *to = (char *)c + m->offset;
		if (!take(&rest, i ? STR(",\"") : STR("{\"")) || !take(&rest, str_of(m->name)) ||
		    !take(&rest, STR("\":")))
			return false;
		if (m->kind == JSON_TEXT ? !take(&rest, STR("\"")) || !take_text(&rest, m, to)
					 : !take_int(&rest, m, to))
			return false;
	}
	return str_eq(rest, STR("}"));
}
