#include "sale/scan.h"

#include <stdio.h>

bool scan_cursor_next(struct scan_cursor *cursor, const struct redis_reply *page)
{
	struct str next = redis_text_at(page, 0);
	snprintf(cursor->text, sizeof cursor->text, "%.*s", (int)next.n, next.p);
	return strcmp(cursor->text, "0") != 0;
}

static void page_command(struct redis_command *c, const struct key_scan *scan, int server,
			 const struct scan_cursor *cursor)
{
	enum { PAGE = 1000 };
	redis_command(c, "SCAN");
	c->server = server;
	redis_put_text(c, cursor->text);
	redis_put_text(c, "MATCH");
	redis_put_text(c, scan->pattern);
	redis_put_text(c, "COUNT");
	redis_put_int(c, PAGE);
}

static enum status see_page(const struct key_scan *scan, struct arena *a, const struct redis_reply *keys)
{
	for (size_t i = 0; i < redis_count(keys); i++)
		scan->see(scan->context, a, redis_text_at(keys, i));
	return scan->pause ? scan->pause(scan->context) : STATUS_OK;
}

static enum status scan_server(struct service *svc, const struct key_scan *scan, int server, struct arena *a)
{
	struct scan_cursor cursor = { "0" };
	enum status s;
	bool more;
	do {
		struct redis_command c;
		const struct redis_reply *reply = NULL;
		arena_reset(a);
		page_command(&c, scan, server, &cursor);
		if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		more = scan_cursor_next(&cursor, reply);
		s = see_page(scan, a, redis_at(reply, 1));
	} while (s == STATUS_OK && more);
	return s;
}

enum status keys_scan(struct service *svc, const struct key_scan *scan)
{
	struct arena a = { 0 };
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < redis_servers(svc->redis_sync); i++)
		s = scan_server(svc, scan, i, &a);
	arena_release(&a);
	return s;
}
