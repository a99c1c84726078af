#include "sale/order_record.h"

#include "base/parse.h"

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
