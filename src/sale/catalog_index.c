#include "sale/catalog_index.h"

#include "sale/key.h"

static size_t append(char text[CATALOG_PATH], size_t used, struct str part)
{
	size_t n = part.n < CATALOG_PATH - used ? part.n : CATALOG_PATH - used;
	if (n)
		memcpy(text + used, part.p, n);
	return used + n;
}

struct str catalog_path(char text[CATALOG_PATH], struct str seller, struct str name)
{
	size_t n = append(text, 0, seller);
	n = append(text, n, STR("/"));
	return (struct str){ text, append(text, n, name) };
}

static void begin(struct redis_command *c, const char *command, struct str seller, struct str name)
{
	char text[CATALOG_PATH];
	struct str path = catalog_path(text, seller, name);
	redis_command(c, command);
	key_put(c, KEY_CATALOG, key_bucket(path), 0);
	redis_put(c, path);
}

void catalog_find(struct redis_command *c, struct str seller, struct str name)
{
	begin(c, "HGET", seller, name);
}

void catalog_enter(struct redis_command *c, struct str seller, struct str name, int64_t coupon)
{
	begin(c, "HSET", seller, name);
	redis_put_int(c, coupon);
}

void catalog_remove(struct redis_command *c, struct str seller, struct str name)
{
	begin(c, "HDEL", seller, name);
}
