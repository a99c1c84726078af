#include "store/layout.h"

#include "sale/fence.h"
#include "sale/key.h"

/* 0: no layout is recorded, because programs before layout 1 recorded none. -1: Redis does not answer. */
static int64_t read_layout(struct service *svc, struct arena *a)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "GET");
	key_put(&c, KEY_LAYOUT, 0, 0);
	return redis_call(svc->redis_sync, a, &c, &reply) == REDIS_ANSWER ? redis_number(reply) : -1;
}

const char *layout_problem(struct service *svc, struct arena *a)
{
	int64_t there = read_layout(svc, a);
	if (there <= LAYOUT)
		return NULL;
	return arena_printf(a, "Redis has sales of layout %lld, this program knows layout %d: start the newer program",
			    (long long)there, LAYOUT);
}

bool layout_record(struct service *svc, struct arena *a)
{
	struct redis_command c;
	int64_t there = read_layout(svc, a);
	if (there < 0 || there >= LAYOUT)
		return there >= 0;
	redis_command(&c, "SET");
	key_put(&c, KEY_LAYOUT, 0, 0);
	redis_put_int(&c, LAYOUT);
	return redis_call(svc->redis_sync, a, &c, NULL) == REDIS_ANSWER;
}
