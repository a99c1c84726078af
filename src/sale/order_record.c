#include "sale/order_record.h"

#include "base/buf.h"
#include "base/parse.h"

static size_t put_or_unknown(char *to, int64_t number)
{
	if (number)
		return buf_digits(to, number);
	*to = '?';
	return 1;
}

struct str order_record_text(char text[ORDER_RECORD_TEXT], const struct order_record *r)
{
	size_t n = buf_digits(text, r->sequence);
	text[n++] = '|';
	n += r->user ? owner_text(text + n, order_record_owner(r)).n : put_or_unknown(text + n, 0);
	text[n++] = '|';
	n += put_or_unknown(text + n, r->claimed_ms);
	if (r->ticket) {
		text[n++] = '|';
		n += buf_digits(text + n, r->ticket);
	}
	return (struct str){ text, n };
}

static bool read_owner(struct str text, struct owner *owner)
{
	*owner = (struct owner){ .unit = 1 };
	return str_eq(text, STR("?")) || owner_read(text, owner);
}

bool order_record_read(struct str raw, struct order_record *r)
{
	struct str rest = raw, sequence, word, ms;
	struct order_record found = { .segment = r->segment, .raw = raw };
	struct owner owner;
	r->raw = raw;
	if (!parse_split(&rest, '|', &sequence) || !parse_split(&rest, '|', &word) || !parse_split(&rest, '|', &ms) ||
	    !parse_int(sequence, 1, NUMBER_MAX, &found.sequence) || !read_owner(word, &owner) ||
	    !parse_int(ms, 1, NUMBER_MAX, &found.claimed_ms) ||
	    (rest.p && (!owner.user || !parse_int(rest, 1, NUMBER_MAX, &found.ticket))))
		return false;
	found.user = owner.user;
	found.unit = owner.unit;
	*r = found;
	return true;
}
