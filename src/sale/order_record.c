#include "sale/order_record.h"

#include "base/buf.h"
#include "base/parse.h"

static char *put_or_unknown(char *to, int64_t number)
{
	if (number)
		return to + buf_digits(to, number);
	*to = '?';
	return to + 1;
}

struct str order_record_text(char text[ORDER_RECORD_TEXT], const struct order_record *r)
{
	char *to = text + buf_digits(text, r->sequence);
	*to++ = '|';
	to = put_or_unknown(to, r->user);
	*to++ = '|';
	to = put_or_unknown(to, r->claimed_ms);
	return (struct str){ text, (size_t)(to - text) };
}

bool order_record_read(struct str raw, struct order_record *r)
{
	struct str rest = raw, sequence, user;
	struct order_record found = { .segment = r->segment, .raw = raw };
	r->raw = raw;
	if (!parse_split(&rest, '|', &sequence) || !parse_split(&rest, '|', &user) ||
	    !parse_int(sequence, 1, NUMBER_MAX, &found.sequence) ||
	    (!str_eq(user, STR("?")) && !parse_int(user, 1, NUMBER_MAX, &found.user)) ||
	    !parse_int(rest, 1, NUMBER_MAX, &found.claimed_ms))
		return false;
	*r = found;
	return true;
}
