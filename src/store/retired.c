#include "store/retired.h"

#include "host/log.h"

enum { SCANNED = 500, REMOVED_AT_ONCE = 32 };

static void on_removed(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct retired *r = context;
	if (outcome == REDIS_ANSWER)
		r->removed += redis_number(reply);
}

static void remove_keys(struct service *svc, struct retired *r, const struct redis_reply *keys)
{
	for (size_t i = 0; i < redis_count(keys);) {
		struct redis_command c;
		redis_command(&c, "DEL");
		for (int n = 0; n < REMOVED_AT_ONCE && i < redis_count(keys); n++)
			redis_put_key(&c, redis_text_at(keys, i++));
		redis_send(svc->redis_sync, &c, on_removed, r);
	}
	redis_wait_all(svc->redis_sync);
}

void retired_remove(struct service *svc, struct arena *a, struct retired *r)
{
	struct redis_command c;
	const struct redis_reply *page = NULL;
	if (r->is_done || !redis_is_single(svc->redis_sync))
		return;
	redis_command(&c, "SCAN");
	redis_put_text(&c, r->next.text[0] ? r->next.text : "0");
	redis_put_text(&c, "MATCH");
	redis_put_text(&c, "sk:u:*");
	redis_put_text(&c, "COUNT");
	redis_put_int(&c, SCANNED);
	if (redis_call(svc->redis_sync, a, &c, &page) != REDIS_ANSWER)
		return;
	remove_keys(svc, r, redis_at(page, 1));
	r->is_done = !scan_cursor_next(&r->next, page);
	if (r->is_done && r->removed)
		log_info("retired_keys_removed", LOG_INT("keys", r->removed));
}
