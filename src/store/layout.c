#include "store/layout.h"

#include "sale/fence.h"
#include "sale/key.h"

/* 0 when none is recorded, as by programs before layout 1 had a record; -1: Redis is away. */
static int64_t recorded(struct service *svc, struct arena *a)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "GET");
	key_put(&c, KEY_LAYOUT, 0, 0);
	return redis_call(svc->redis_sync, a, &c, &reply) == REDIS_ANSWER ? redis_number(reply) : -1;
}

const char *layout_problem(struct service *svc, struct arena *a)
{
	int64_t there = recorded(svc, a);
	if (there <= LAYOUT)
		return NULL;
	return arena_printf(a,
			    "Redis holds sales of layout %lld, this program knows layout %d: start the newer program",
			    (long long)there, LAYOUT);
}

bool layout_record(struct service *svc, struct arena *a)
{
	struct redis_command c;
	int64_t there = recorded(svc, a);
	if (there < 0 || there >= LAYOUT)
		return there >= 0;
	redis_command(&c, "SET");
	key_put(&c, KEY_LAYOUT, 0, 0);
	redis_put_int(&c, LAYOUT);
	return redis_call(svc->redis_sync, a, &c, NULL) == REDIS_ANSWER;
}
