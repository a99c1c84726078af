#include "sale/owner.h"

#include "base/buf.h"
#include "base/parse.h"
#include "resp/command.h"

struct str owner_text(char text[OWNER_TEXT], struct owner o)
{
	size_t n = buf_digits(text, o.user);
	if (o.unit > 1) {
		text[n] = '#';
		n += 1 + buf_digits(text + n + 1, o.unit);
	}
	return (struct str){ text, n };
}

/* An owner has only one word: a number that begins with 0 is none, nor is "#1". */
static bool read_number(struct str text, int64_t least, int64_t most, int64_t *number)
{
	return text.n && text.p[0] != '0' && parse_int(text, least, most, number);
}

bool owner_read(struct str text, struct owner *o)
{
	struct str rest = text, piece;
	int64_t user, unit = 1;
	if (!parse_split(&rest, '#', &piece) || !read_number(piece, 1, NUMBER_MAX, &user) ||
	    (rest.p && !read_number(rest, 2, UNITS_MAX, &unit)))
		return false;
	*o = (struct owner){ user, (int)unit };
	return true;
}

void owner_put(struct redis_command *c, struct owner o)
{
	char text[OWNER_TEXT];
	redis_put(c, owner_text(text, o));
}
