#include "drain/backlog.h"

#include "sale/scripts.h"
#include "sale/worklist.h"

struct length {
	struct backlog *backlog;
	bool *failed;
};

static void on_length(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct length *length = context;
	if (end == REDIS_ANSWER)
		length->backlog->queued += redis_number(reply);
	else
		*length->failed = true;
}

static void measure(struct service *svc, struct length *length)
{
	struct redis_command c;
	struct backlog *b = length->backlog;
	b->queued = 0;
	for (int s = 0; s < b->segments; s++) {
		redis_command(&c, "LLEN");
		key_put(&c, KEY_ORDERS, b->coupon, s);
		redis_send(svc->redis_sync, &c, on_length, length);
	}
}

static bool ask_all(struct service *svc, struct arena *a, struct backlogs *b,
		    void (*ask)(struct service *svc, struct length *length))
{
	enum { AT_ONCE = 64 };
	bool failed = false;
	struct length *lengths = arena_alloc(a, (size_t)(b->count + 1) * sizeof *lengths);
	for (int i = 0; i < b->count; i++) {
		lengths[i] = (struct length){ &b->at[i], &failed };
		ask(svc, &lengths[i]);
		if (i % AT_ONCE == AT_ONCE - 1)
			redis_wait_all(svc->redis_sync);
	}
	redis_wait_all(svc->redis_sync);
	return !failed;
}

bool backlogs_measure(struct service *svc, struct arena *a, struct backlogs *b)
{
	return ask_all(svc, a, b, measure);
}

/*
 * Counts the lists that exist, which are those with orders. On a cluster the lists of two segments are in different
 * hash slots, so a command takes only one.
 */
static void count_lists(struct service *svc, struct length *length)
{
	enum { KEYS_MOST = 32 };
	struct redis_command c;
	struct backlog *b = length->backlog;
	int most = redis_is_single(svc->redis_sync) ? KEYS_MOST : 1;
	b->queued = 0;
	for (int s = 0; s < b->segments; s++) {
		if (s % most == 0)
			redis_command(&c, "EXISTS");
		key_put(&c, KEY_ORDERS, b->coupon, s);
		if (s % most == most - 1 || s == b->segments - 1)
			redis_send(svc->redis_sync, &c, on_length, length);
	}
}

bool backlogs_find(struct service *svc, struct arena *a, struct backlogs *b)
{
	return ask_all(svc, a, b, count_lists);
}

void backlog_enter(struct service *svc, const struct backlog *b)
{
	worklist_drain(svc->redis_sync, b->coupon, b->segments);
}

void backlog_remove(struct service *svc, const struct backlog *b)
{
	struct redis_command c;
	worklist_command(&c, "SREM", KEY_DIRTY, b->coupon, b->segments);
	redis_send(svc->redis_sync, &c, NULL, NULL);
}

void backlog_forget(struct service *svc, const struct backlog *b)
{
	char member[WORKLIST_TEXT];
	struct redis_command c;
	if (!redis_is_single(svc->redis_sync)) {
		backlog_remove(svc, b);
		return;
	}
	redis_script(&c, &script_forget, 2);
	key_put(&c, KEY_DIRTY, 0, 0);
	key_put(&c, KEY_ORDERS, b->coupon, 0);
	redis_put(&c, worklist_member(member, b->coupon, b->segments));
	redis_put_int(&c, b->segments);
	redis_send(svc->redis_sync, &c, NULL, NULL);
}
