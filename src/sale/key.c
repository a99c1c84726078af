#include "sale/key.h"

#include "base/buf.h"
#include "base/siphash.h"

/* Each # is replaced by the next number of the key. */
static const char *const patterns[KEYS_COUNT] = {
	[KEY_HUB] = "sk:{#:h}:hub",      [KEY_DESCRIPTOR] = "sk:{#:h}:d", [KEY_SEGMENT] = "sk:{#:#}:s",
	[KEY_OWNERS] = "sk:{#:#}:o",     [KEY_ORDERS] = "sk:{#:#}:q",     [KEY_LEASE] = "sk:{#:h}:l",
	[KEY_WAITING] = "sk:{#:h}:w",    [KEY_JOURNAL] = "sk:{#:h}:j",    [KEY_CATALOG] = "sk:n:{#}",
	[KEY_SELLER_INDEX] = "sk:w:{#}", [KEY_CUSTOMER] = "sk:u:{#}",     [KEY_SELLER] = "sk:s:{#}",
	[KEY_DIRTY] = "sk:dirty",        [KEY_SUSPECTS] = "sk:doubt",     [KEY_QUARANTINED] = "sk:closed",
	[KEY_LOST] = "sk:lost",          [KEY_LAYOUT] = "sk:layout",      [KEY_REVOKED] = "sk:revoked",
	[KEY_FAILURES] = "sk:f:{#}:#",   [KEY_WAITED] = "sk:waited",
};

struct str key_text(char text[KEY_TEXT], enum key key, int64_t a, int64_t b)
{
	const int64_t numbers[] = { a, b };
	int next = 0;
	char *to = text;
	for (const char *p = patterns[key]; *p; p++)
		if (*p == '#')
			to += buf_digits(to, numbers[next++]);
		else
			*to++ = *p;
	*to = '\0';
	return (struct str){ text, (size_t)(to - text) };
}

void key_put(struct redis_command *c, enum key key, int64_t a, int64_t b)
{
	char text[KEY_TEXT];
	redis_put_key(c, key_text(text, key, a, b));
}

int64_t key_hash(struct str name)
{
	static const uint8_t key[SIPHASH_KEY]; /* zeros: the hash only spreads names, and need not be secret */
	return (int64_t)(siphash(key, name.p, name.n) >> 1);
}

int64_t key_bucket(struct str name)
{
	return key_hash(name) % KEY_BUCKETS;
}
