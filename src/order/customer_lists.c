#include "order/customer_lists.h"

#include <stdio.h>

#include "base/parse.h"
#include "sale/key.h"

enum { PAGE = 1000 };

struct customer {
	const struct customer_lists *lists;
	int64_t user;
	bool *failed;
};

static void on_entries(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct customer *c = context;
	*c->failed |= end == REDIS_REFUSED || end == REDIS_UNKNOWN;
	for (size_t i = 0; i + 1 < redis_count(reply); i += 2)
		c->lists->see(c->lists->context, c->user, redis_text_at(reply, i), redis_number_at(reply, i + 1));
}

/* "sk:u:{123}" */
static int64_t user_of(struct str key)
{
	struct str rest = key, piece;
	int64_t user = 0;
	if (parse_split(&rest, '{', &piece) && parse_split(&rest, '}', &piece))
		parse_int(piece, 1, NUMBER_MAX, &user);
	return user;
}

static void ask(struct service *svc, struct arena *a, const struct customer_lists *lists, int64_t user, bool *failed)
{
	struct redis_command c;
	struct customer *customer = arena_alloc(a, sizeof *customer);
	*customer = (struct customer){ lists, user, failed };
	redis_command(&c, "ZRANGE");
	key_put(&c, KEY_CUSTOMER, user, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, -1);
	redis_put_text(&c, "WITHSCORES");
	redis_send(svc->redis_sync, &c, on_entries, customer);
}

static enum status scan_server(struct service *svc, const struct customer_lists *lists, int server, struct arena *a)
{
	char cursor[24] = "0";
	bool failed = false;
	do {
		struct redis_command c;
		const struct redis_reply *reply = NULL, *page;
		arena_reset(a);
		redis_command(&c, "SCAN");
		c.server = server;
		redis_put_text(&c, cursor);
		redis_put_text(&c, "MATCH");
		redis_put_text(&c, "sk:u:*");
		redis_put_text(&c, "COUNT");
		redis_put_int(&c, PAGE);
		if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
			return STATUS_UNAVAILABLE;
		page = redis_at(reply, 1);
		for (size_t i = 0; i < redis_count(page); i++) {
			int64_t user = user_of(redis_text_at(page, i));
			if (user)
				ask(svc, a, lists, user, &failed);
		}
		struct str next = redis_text_at(reply, 0);
		snprintf(cursor, sizeof cursor, "%.*s", (int)next.n, next.p);
		redis_wait_all(svc->redis_sync);
		enum status s = failed ? STATUS_UNAVAILABLE : lists->pause ? lists->pause(lists->context) : STATUS_OK;
		if (s != STATUS_OK)
			return s;
	} while (strcmp(cursor, "0") != 0);
	return STATUS_OK;
}

enum status customer_lists_read(struct service *svc, const struct customer_lists *lists)
{
	struct arena a = { 0 };
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < redis_servers(svc->redis_sync); i++)
		s = scan_server(svc, lists, i, &a);
	arena_release(&a);
	return s;
}
