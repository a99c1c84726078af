/* HSET and HGET on the bucket of the name. */
#include "sale/directory.h"

#include "sale/key.h"

static void begin(struct redis_command *c, const char *command, struct str seller)
{
	redis_command(c, command);
	key_put(c, KEY_DIRECTORY, key_bucket(seller), 0);
	redis_put(c, seller);
}

void directory_lookup(struct redis_command *c, struct str name)
{
	begin(c, "HGET", name);
}

enum status directory_add(struct service *s, struct str name, int64_t id)
{
	struct redis_command c;
	begin(&c, "HSET", name);
	redis_put_int(&c, id);
	struct arena arena;
	arena_init(&arena);
	const struct redis_reply *reply;
	enum redis_end end = redis_call(s->redis_now, &arena, &c, &reply);
	arena_release(&arena);
	return end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}
