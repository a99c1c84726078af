#include "http/framing.h"

enum { HEADER = 8, FCGI_VERSION = 1, BEGIN_BODY = 8, RESPONDER = 1 };
enum type { FCGI_BEGIN_REQUEST = 1, FCGI_PARAMS = 4, FCGI_STDIN = 5 };

/* Names and values (section 3.4): the lengths of a pair, then its bytes, over the borders of records. */
struct pairs {
	unsigned char lengths[8];
	size_t have; /* bytes of lengths */
	size_t skip; /* bytes of the pair that are still to come */
};

/* Where a request is: the type of its next record, and its id once the first has come. */
struct progress {
	enum type wanted;
	unsigned id;
	struct pairs pairs;
};

/* A length takes four bytes when its highest bit is set, else one. */
static size_t width(const unsigned char *length)
{
	return *length & 0x80 ? 4 : 1;
}

static size_t value(const unsigned char *length)
{
	if (width(length) == 1)
		return *length;
	return (size_t)(length[0] & 0x7f) << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
}

/* Takes as many of the bytes as belong to the lengths of a pair, and returns their number. */
static size_t put_lengths(struct pairs *p, const unsigned char *bytes, size_t n)
{
	size_t had = p->have, room = sizeof p->lengths - had, taken = n < room ? n : room;
	memcpy(p->lengths + had, bytes, taken);
	p->have += taken;
	size_t first = width(p->lengths);
	if (p->have <= first || p->have < first + width(p->lengths + first))
		return taken;
	p->skip = value(p->lengths) + value(p->lengths + first);
	p->have = 0;
	return first + width(p->lengths + first) - had;
}

static void put_pairs(struct pairs *p, const unsigned char *bytes, size_t n)
{
	while (n) {
		size_t step = p->skip < n ? p->skip : n;
		p->skip -= step;
		if (!step)
			step = put_lengths(p, bytes, n);
		bytes += step;
		n -= step;
	}
}

static unsigned two_bytes(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static bool is_next(const struct progress *p, const unsigned char *header)
{
	unsigned id = two_bytes(header + 2);
	if (header[0] != FCGI_VERSION || header[1] != p->wanted)
		return false;
	return p->wanted == FCGI_BEGIN_REQUEST ? id && two_bytes(header + 4) == BEGIN_BODY : id == p->id;
}

/* Takes a record that is next. An empty one ends the parameters, and the body. */
static enum framing_end advance(struct progress *p, const unsigned char *record)
{
	const unsigned char *content = record + HEADER;
	size_t n = two_bytes(record + 4);
	if (p->wanted == FCGI_BEGIN_REQUEST) {
		p->id = two_bytes(record + 2);
		p->wanted = FCGI_PARAMS;
		return two_bytes(content) == RESPONDER ? FRAMING_PARTIAL : FRAMING_RUBBISH;
	}
	if (p->wanted == FCGI_STDIN)
		return n ? FRAMING_PARTIAL : FRAMING_WHOLE;
	put_pairs(&p->pairs, content, n);
	if (n)
		return FRAMING_PARTIAL;
	p->wanted = FCGI_STDIN;
	return p->pairs.have || p->pairs.skip ? FRAMING_RUBBISH : FRAMING_PARTIAL;
}

enum framing_end framing_look(struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	struct progress progress = { .wanted = FCGI_BEGIN_REQUEST };
	size_t at = 0;
	if (!bytes.n)
		return FRAMING_NOTHING;
	while (bytes.n - at >= HEADER) {
		const unsigned char *r = p + at;
		size_t size = HEADER + two_bytes(r + 4) + r[6]; /* with content and padding */
		if (!is_next(&progress, r))
			return FRAMING_RUBBISH;
		if (bytes.n - at < size)
			return FRAMING_PARTIAL;
		enum framing_end end = advance(&progress, r);
		if (end != FRAMING_PARTIAL)
			return end;
		at += size;
	}
	return at < bytes.n && p[at] != FCGI_VERSION ? FRAMING_RUBBISH : FRAMING_PARTIAL;
}
