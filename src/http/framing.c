#include "http/framing.h"

enum { HEADER = 8, FCGI_VERSION = 1, FCGI_STDIN = 5 };

enum framing_end framing_look(struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t at = 0;
	if (!bytes.n)
		return FRAMING_NOTHING;
	while (bytes.n - at >= HEADER) {
		const unsigned char *r = p + at;
		size_t content = (size_t)r[4] << 8 | r[5], padding = r[6];
		if (r[0] != FCGI_VERSION)
			return FRAMING_RUBBISH;
		if (bytes.n - at < HEADER + content + padding)
			return FRAMING_PARTIAL;
		if (r[1] == FCGI_STDIN && content == 0)
			return FRAMING_WHOLE;
		at += HEADER + content + padding;
	}
	return at < bytes.n && p[at] != FCGI_VERSION ? FRAMING_RUBBISH : FRAMING_PARTIAL;
}
