#include "sale/seller_index.h"

#include "sale/key.h"

static void bucket_command(struct redis_command *c, const char *command, struct str seller)
{
	redis_command(c, command);
	key_put(c, KEY_SELLER_INDEX, key_bucket(seller), 0);
	redis_put(c, seller);
}

void seller_index_find(struct redis_command *c, struct str name)
{
	bucket_command(c, "HGET", name);
}

enum status seller_index_add(struct service *s, struct str name, int64_t id)
{
	struct redis_command c;
	bucket_command(&c, "HSET", name);
	redis_put_int(&c, id);
	struct arena arena;
	arena_init(&arena);
	const struct redis_reply *reply;
	enum redis_outcome end = redis_call(s->redis_sync, &arena, &c, &reply);
	arena_release(&arena);
	return end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}
