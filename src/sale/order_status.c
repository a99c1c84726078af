#include "sale/order_status.h"

#include "base/buf.h"
#include "base/parse.h"

static const char *const texts[] = {
	"queued", "pending", "paid", "cancelled", "expired", "confirmed", "failed", "lost"
};
enum { STATUSES = sizeof texts / sizeof texts[0] };

const char *order_status_text(enum order_status s)
{
	return texts[s];
}

static unsigned bit_of(struct str word)
{
	for (unsigned i = 0; i < STATUSES; i++)
		if (str_eq(word, str_of(texts[i])))
			return 1u << i;
	return 0;
}

bool order_statuses_read(struct str text, unsigned allowed, unsigned *set)
{
	struct str word;
	*set = text.n ? 0 : allowed;
	if (!text.n)
		return true;
	while (parse_split(&text, ',', &word)) {
		unsigned bit = bit_of(word);
		if (!(bit & allowed))
			return false;
		*set |= bit;
	}
	return true;
}

const char *order_statuses_text(struct arena *a, unsigned set)
{
	struct buf b;
	buf_init(&b, a);
	for (unsigned i = 0; i < STATUSES; i++)
		if (set >> i & 1)
			buf_printf(&b, "%s%s", b.n ? "," : "", texts[i]);
	return b.p;
}
