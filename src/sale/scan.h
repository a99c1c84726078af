/* Reading keys and large hashes of Redis in pages. What exists during the whole scan is seen, perhaps twice. */
#ifndef SALE_SCAN_H
#define SALE_SCAN_H

#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

/* Where SCAN or HSCAN continues; starts as { "0" }. */
struct scan_cursor {
	char text[24];
};

/* Takes the next cursor from the reply with a page. False: this page was the last one. */
bool scan_cursor_next(struct scan_cursor *cursor, const struct redis_reply *page);

struct key_scan {
	const char *pattern;
	void (*see)(void *context, struct arena *page, struct str key);
	/* Called after each page; may block, and ends the scan when it does not return STATUS_OK. May be NULL. */
	enum status (*pause)(void *context);
	void *context;
};

/*
 * Calls scan->see with each key of all servers; the arena is reset for each page of about a thousand keys. Blocks.
 * STATUS_OK, STATUS_UNAVAILABLE, or the status of scan->pause.
 */
enum status keys_scan(struct service *svc, const struct key_scan *scan);

#endif
