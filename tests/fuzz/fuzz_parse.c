/*
 * What reads bytes before anything else does: UTF-8 and names, numbers, paths
 * and pages, FastCGI's framing. Byte 0 chooses; each is compared with a slow,
 * obvious way to say the same, or with itself.
 */
#include "fuzz/fuzz.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "http/framing.h"
#include "http/request.h"
#include "sale/order_status.h"
#include "sale/order_number.h"
#include "sale/price.h"

/* UTF-8: the shortest forms of all characters, concatenated, are the text. */

static size_t character(uint32_t c, unsigned char out[4])
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (unsigned char)(0x80 | (c & 0x3f));
	out[0] = (unsigned char)(first[n] | c);
	return n;
}

/* How many characters, or -1. */
static int characters_plainly(struct str text)
{
	int count = 0;
	for (size_t at = 0, n; at < text.n; at += n, count++) {
		unsigned char first = (unsigned char)text.p[at], again[4];
		n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
		if (text.n - at < n)
			return -1;
		uint32_t c = n == 1 ? first : first & (0x7fu >> n);
		for (size_t i = 1; i < n; i++)
			c = c << 6 | ((unsigned char)text.p[at + i] & 0x3f);
		if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || character(c, again) != n || memcmp(again, text.p + at, n))
			return -1;
	}
	return count;
}

static void names(struct arena *a, struct str text)
{
	(void)a;
	int characters = characters_plainly(text);
	assert(parse_is_utf8(text) == (characters >= 0));
	if (!parse_is_name(text))
		return;
	assert(characters >= 1 && characters <= 60 && !str_eq(text, STR(".")) && !str_eq(text, STR("..")));
	for (size_t i = 0; i < text.n; i++)
		assert((unsigned char)text.p[i] >= ' ' && text.p[i] != '/' && text.p[i] != 0x7f);
}

/* New names: they are names, a broken rule has a text, and a visible character more changes nothing. */
static void new_names(struct arena *a, struct str text)
{
	const char *rule = parse_new_name(a, text);
	assert(!rule || *rule);
	assert(rule || parse_is_name(text));
	if (!rule && characters_plainly(text) < 60) {
		struct buf longer;
		buf_init(&longer, a);
		buf_put(&longer, text);
		buf_puts(&longer, "x");
		assert(!parse_new_name(a, buf_str(&longer)));
	}
}

/* Numbers */

static void numbers(struct arena *a, struct str text)
{
	int64_t value = 12345;
	const char *copy = arena_str(a, text).p;
	if (!parse_int(text, -1000, INT64_MAX, &value)) {
		assert(value == 12345);
		return;
	}
	char *end;
	errno = 0;
	assert(strtoll(copy, &end, 10) == value && !errno && end == copy + text.n && value >= -1000);
	assert(text.p[0] == '-' || isdigit((unsigned char)text.p[0]));
}

/* Paths */

static void paths(struct arena *a, struct str text)
{
	struct request rq = { .arena = a, .path = text, .query = text };
	enum status s = request_split_path(&rq);
	assert(s == STATUS_OK || s == STATUS_NOT_FOUND);
	assert(rq.parts >= 0 && rq.parts <= PATH_MAX_PARTS);
	for (int i = 0; i < rq.parts; i++)
		assert(rq.part[i].n <= text.n);
	if (s != STATUS_OK)
		return;
	int64_t page;
	assert(request_page(&rq, &page) == STATUS_BAD_PAGE || (page >= 1 && page <= 1000000000));
	rq.idempotency_key = text;
	if (request_idempotency(&rq) == STATUS_OK)
		for (size_t i = 0; i < text.n; i++)
			assert(isgraph((unsigned char)text.p[i]));
}

/* Statuses and cursors of lists: decoding undoes encoding, and a set of statuses is read as it is written. */
static void queries(struct arena *a, struct str text)
{
	struct buf encoded;
	struct str decoded;
	struct order_number n;
	unsigned set, again;
	char no[ORDER_NUMBER_TEXT];
	buf_init(&encoded, a);
	buf_percent(&encoded, text);
	assert(parse_percent(a, buf_str(&encoded), &decoded) && str_eq(decoded, text));
	assert(!parse_percent(a, text, &decoded) || decoded.n <= text.n);
	if (order_statuses_read(text, ORDER_ROWS, &set)) {
		assert(set && (set & ORDER_ROWS) == set);
		assert(order_statuses_read(str_of(order_statuses_text(a, set)), ORDER_ROWS, &again) && again == set);
	}
	if (order_number_read(text, &n))
		assert(str_eq(order_number_text(no, n.coupon, n.segment, n.sequence), text));
}

/* Checkout addresses: no byte of one could end a header, a line or a string, and the filled one is one, too. */
static void addresses(struct arena *a, struct str text)
{
	if (!price_is_checkout_url(text))
		return;
	assert(text.n <= CHECKOUT_URL_MAX && (str_starts(text, STR("https://")) || str_starts(text, STR("http://"))));
	struct str filled = price_checkout_url(a, text, "1-2-3");
	for (size_t i = 0; i < filled.n; i++)
		assert(isgraph((unsigned char)filled.p[i]) && !strchr("\"<>\\^`{|}", filled.p[i]));
	assert(memmem(filled.p, filled.n, "1-2-3", 5));
}

/* Framing: more bytes never change a result. */

static void framing(struct arena *a, struct str text)
{
	(void)a;
	enum framing_end verdict = FRAMING_EMPTY;
	for (size_t n = 0; n <= text.n; n++) {
		enum framing_end now = framing_scan((struct str){ text.p, n });
		assert((now == FRAMING_EMPTY) == (n == 0));
		assert((verdict != FRAMING_WHOLE && verdict != FRAMING_INVALID) || now == verdict);
		verdict = now;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(struct arena *, struct str) = { new_names, names, numbers, paths, framing,
								 queries,   addresses };
	struct arena a = { 0 };
	if (!size)
		return 0;
	readers[data[0] % (sizeof readers / sizeof readers[0])](&a, (struct str){ (const char *)data + 1, size - 1 });
	arena_release(&a);
	return 0;
}
