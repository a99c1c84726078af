#include "http/framing.h"

enum { HEADER = 8, FCGI_VERSION = 1, BEGIN_BODY = 8 };
enum type { FCGI_BEGIN_REQUEST = 1, FCGI_PARAMS = 4, FCGI_STDIN = 5 };

/* Where a request is: the type of its next record, and its id once the first has come. */
struct progress {
	enum type wanted;
	unsigned id;
};

static bool is_next(const struct progress *p, const unsigned char *header, size_t content)
{
	unsigned id = (unsigned)header[2] << 8 | header[3];
	if (header[0] != FCGI_VERSION || header[1] != p->wanted)
		return false;
	return p->wanted == FCGI_BEGIN_REQUEST ? id && content == BEGIN_BODY : id == p->id;
}

/* True: that was the last one. An empty record ends the parameters, and the body. */
static bool advance(struct progress *p, const unsigned char *header, size_t content)
{
	p->id = (unsigned)header[2] << 8 | header[3];
	if (p->wanted == FCGI_STDIN)
		return content == 0;
	if (p->wanted == FCGI_BEGIN_REQUEST)
		p->wanted = FCGI_PARAMS;
	else if (content == 0)
		p->wanted = FCGI_STDIN;
	return false;
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
		size_t content = (size_t)r[4] << 8 | r[5], padding = r[6];
		if (!is_next(&progress, r, content))
			return FRAMING_RUBBISH;
		if (bytes.n - at < HEADER + content + padding)
			return FRAMING_PARTIAL;
		if (advance(&progress, r, content))
			return FRAMING_WHOLE;
		at += HEADER + content + padding;
	}
	return at < bytes.n && p[at] != FCGI_VERSION ? FRAMING_RUBBISH : FRAMING_PARTIAL;
}
