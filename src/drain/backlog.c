#include "drain/backlog.h"

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

bool backlogs_measure(struct service *svc, struct arena *a, struct backlogs *b)
{
	enum { AT_ONCE = 64 };
	bool failed = false;
	struct length *lengths = arena_alloc(a, (size_t)(b->count + 1) * sizeof *lengths);
	for (int i = 0; i < b->count; i++) {
		lengths[i] = (struct length){ &b->at[i], &failed };
		measure(svc, &lengths[i]);
		if (i % AT_ONCE == AT_ONCE - 1)
			redis_wait_all(svc->redis_sync);
	}
	redis_wait_all(svc->redis_sync);
	return !failed;
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
