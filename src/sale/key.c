#include "sale/key.h"

#include <stdio.h>

#include "base/siphash.h"

static const char *const patterns[KEYS_COUNT] = {
	[KEY_HUB] = "sk:{%lld:h}:hub",
	[KEY_DESCRIPTOR] = "sk:{%lld:h}:d",
	[KEY_SEGMENT] = "sk:{%lld:%lld}:s",
	[KEY_OWNERS] = "sk:{%lld:%lld}:o",
	[KEY_ORDERS] = "sk:{%lld:%lld}:q",
	[KEY_LEASE] = "sk:{%lld:h}:l",
	[KEY_CATALOG] = "sk:n:{%lld}",
	[KEY_DIRECTORY] = "sk:w:{%lld}",
	[KEY_CUSTOMER] = "sk:u:{%lld}",
	[KEY_SELLER] = "sk:s:{%lld}",
	[KEY_LIVE] = "sk:live",
	[KEY_DIRTY] = "sk:dirty",
	[KEY_REVOKED] = "sk:revoked",
};

struct str key_text(char text[KEY_TEXT], enum key key, int64_t a, int64_t b)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
	int n = snprintf(text, KEY_TEXT, patterns[key], (long long)a, (long long)b);
#pragma GCC diagnostic pop
	return (struct str){ text, (size_t)n };
}

void key_put(struct redis_command *c, enum key key, int64_t a, int64_t b)
{
	char text[KEY_TEXT];
	redis_put_key(c, key_text(text, key, a, b));
}

int64_t key_hash(struct str name)
{
	static const uint8_t key[SIPHASH_KEY]; /* spreads names; nothing to hide */
	return (int64_t)(siphash(key, name.p, name.n) >> 1);
}

int64_t key_bucket(struct str name)
{
	return key_hash(name) % 1024;
}
