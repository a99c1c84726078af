#include "order/customer_lists.h"

#include "base/parse.h"
#include "sale/key.h"
#include "sale/scan.h"

struct reading {
	struct service *svc;
	const struct customer_lists *lists;
	bool failed;
};

struct customer {
	struct reading *reading;
	int64_t user;
};

static void on_entries(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct customer *c = context;
	const struct customer_lists *lists = c->reading->lists;
	c->reading->failed |= end == REDIS_REFUSED || end == REDIS_UNKNOWN;
	for (size_t i = 0; i + 1 < redis_count(reply); i += 2)
		lists->see(lists->context, c->user, redis_text_at(reply, i), redis_number_at(reply, i + 1));
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

static void on_key(void *context, struct arena *page, struct str key)
{
	struct reading *r = context;
	struct redis_command c;
	struct customer *customer = arena_alloc(page, sizeof *customer);
	*customer = (struct customer){ r, user_of(key) };
	if (!customer->user)
		return;
	redis_command(&c, "ZRANGE");
	key_put(&c, KEY_CUSTOMER, customer->user, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, -1);
	redis_put_text(&c, "WITHSCORES");
	redis_send(r->svc->redis_sync, &c, on_entries, customer);
}

static enum status on_page(void *context)
{
	const struct reading *r = context;
	redis_wait_all(r->svc->redis_sync);
	if (r->failed)
		return STATUS_UNAVAILABLE;
	return r->lists->pause ? r->lists->pause(r->lists->context) : STATUS_OK;
}

enum status customer_lists_read(struct service *svc, const struct customer_lists *lists)
{
	struct reading r = { .svc = svc, .lists = lists };
	return keys_scan(svc, &(struct key_scan){ "sk:u:*", on_key, on_page, &r });
}
