#include "base/etag.h"

static void skip_spaces(struct str *s)
{
	while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
		*s = (struct str){ s->p + 1, s->n - 1 };
}

/* Characters of an opaque tag: all that can be seen but the quote, and bytes above ASCII. */
static bool is_tag_character(char c)
{
	unsigned char byte = (unsigned char)c;
	return byte > ' ' && byte != '"' && byte != 0x7f;
}

/* Takes a tag, with its quotes, from *rest. False: there is none. */
static bool take_tag(struct str *rest, struct str *tag, bool *is_weak)
{
	*is_weak = rest->n >= 2 && rest->p[0] == 'W' && rest->p[1] == '/';
	if (*is_weak)
		*rest = (struct str){ rest->p + 2, rest->n - 2 };
	if (!rest->n || rest->p[0] != '"')
		return false;
	size_t n = 1;
	while (n < rest->n && is_tag_character(rest->p[n]))
		n++;
	if (n == rest->n || rest->p[n] != '"')
		return false;
	*tag = (struct str){ rest->p, n + 1 };
	*rest = (struct str){ rest->p + n + 1, rest->n - n - 1 };
	return true;
}

/* Empty elements of a list are allowed (RFC 9110, section 5.6.1.2). Whether the list is valid; *has: it has the tag. */
static bool read_list(struct str rest, struct str wanted, bool *has)
{
	int tags = 0;
	*has = false;
	for (skip_spaces(&rest); rest.n; skip_spaces(&rest)) {
		struct str tag;
		bool is_weak;
		if (rest.p[0] != ',') {
			if (!take_tag(&rest, &tag, &is_weak))
				return false;
			*has |= !is_weak && str_eq(tag, wanted);
			tags++;
			skip_spaces(&rest);
		}
		if (rest.n && rest.p[0] != ',')
			return false;
		if (rest.n)
			rest = (struct str){ rest.p + 1, rest.n - 1 };
	}
	return tags > 0;
}

static bool is_star(struct str list)
{
	skip_spaces(&list);
	while (list.n && (list.p[list.n - 1] == ' ' || list.p[list.n - 1] == '\t'))
		list.n--;
	return str_eq(list, STR("*"));
}

bool etag_list_is_valid(struct str list)
{
	bool has;
	return is_star(list) || read_list(list, STR(""), &has);
}

bool etag_list_has(struct str list, struct str tag)
{
	bool has = false;
	return is_star(list) || (read_list(list, tag, &has) && has);
}
