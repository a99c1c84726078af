#include "http/framing.h"

enum { HEADER = 8, FCGI_VERSION = 1, BEGIN_BODY = 8, RESPONDER = 1 };
enum type { FCGI_BEGIN_REQUEST = 1, FCGI_PARAMS = 4, FCGI_STDIN = 5 };

/*
 * Progress in the name-value pairs (section 3.4): the two lengths of a pair, then its bytes. A pair may span records.
 */
struct pairs {
	unsigned char lengths[8];
	size_t have; /* how many bytes of `lengths` have been read */
	size_t skip; /* bytes of the pair that have not been read yet */
};

struct progress {
	enum type wanted; /* the type of the next record */
	unsigned id;      /* of the request, from the first record */
	struct pairs pairs;
};

/* Reads a length, which takes one or four bytes; returns the number of bytes. */
static size_t read_length(const unsigned char *p, size_t *length)
{
	bool is_long = *p & 0x80;
	*length = is_long ? (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3] : *p;
	return is_long ? 4 : 1;
}

/*
 * Reads as many bytes as belong to the lengths of a pair, and returns their number. Sets `skip` once both lengths are
 * known.
 */
static size_t take_lengths(struct pairs *p, const unsigned char *bytes, size_t n)
{
	size_t had = p->have, room = sizeof p->lengths - had, taken = n < room ? n : room, name, value;
	memcpy(p->lengths + had, bytes, taken);
	p->have += taken;
	size_t size = read_length(p->lengths, &name);
	if (p->have <= size)
		return taken;
	size += read_length(p->lengths + size, &value);
	if (p->have < size)
		return taken;
	p->skip = name + value;
	p->have = 0;
	return size - had;
}

static void read_pairs(struct pairs *p, const unsigned char *bytes, size_t n)
{
	while (n) {
		size_t step = p->skip < n ? p->skip : n;
		p->skip -= step;
		if (!step)
			step = take_lengths(p, bytes, n);
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

/* Reads a record. An empty record ends the parameters, or the body. */
static enum framing_end read_record(struct progress *p, const unsigned char *record)
{
	const unsigned char *content = record + HEADER;
	size_t n = two_bytes(record + 4);
	if (p->wanted == FCGI_BEGIN_REQUEST) {
		p->id = two_bytes(record + 2);
		p->wanted = FCGI_PARAMS;
		return two_bytes(content) == RESPONDER ? FRAMING_PARTIAL : FRAMING_INVALID;
	}
	if (p->wanted == FCGI_STDIN)
		return n ? FRAMING_PARTIAL : FRAMING_WHOLE;
	read_pairs(&p->pairs, content, n);
	if (n)
		return FRAMING_PARTIAL;
	p->wanted = FCGI_STDIN;
	return p->pairs.have || p->pairs.skip ? FRAMING_INVALID : FRAMING_PARTIAL;
}

enum framing_end framing_scan(struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	struct progress progress = { .wanted = FCGI_BEGIN_REQUEST };
	size_t at = 0;
	if (!bytes.n)
		return FRAMING_EMPTY;
	while (bytes.n - at >= HEADER) {
		const unsigned char *r = p + at;
		size_t size = HEADER + two_bytes(r + 4) + r[6]; /* with content and padding */
		if (!is_next(&progress, r))
			return FRAMING_INVALID;
		if (bytes.n - at < size)
			return FRAMING_PARTIAL;
		enum framing_end end = read_record(&progress, r);
		if (end != FRAMING_PARTIAL)
			return end;
		at += size;
	}
	return at < bytes.n && p[at] != FCGI_VERSION ? FRAMING_INVALID : FRAMING_PARTIAL;
}
