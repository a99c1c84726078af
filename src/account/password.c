/*
 * The only file that includes crypt.h. libxcrypt reports a failure as a "hash" that begins with '*', which must not
 * pass for a hash: it could equal a stored '*'.
 */
#include "account/password.h"

#include <crypt.h>
#include <stdint.h>

/* "$y$j9T$salt$hash": the method and its cost end at the third '$'. */
enum { PREFIX_DOLLARS = 3 };

static bool is_hash(const char *hash)
{
	return hash && hash[0] == '$';
}

/* crypt needs a C string. Texts longer than PASSWORD_MAX are refused, because hashing them would take longer. */
static bool crypt_text(struct str password, const char *setting, char text[PASSWORD_TEXT])
{
	char phrase[PASSWORD_MAX + 1];
	if (password.n > PASSWORD_MAX || (password.n && memchr(password.p, '\0', password.n)))
		return false;
	if (password.n)
		memcpy(phrase, password.p, password.n);
	phrase[password.n] = '\0';
	struct crypt_data data = { 0 };
	const char *hash = crypt_rn(phrase, setting, &data, sizeof data);
	bool ok = is_hash(hash) && strlen(hash) < PASSWORD_TEXT;
	if (ok)
		strcpy(text, hash);
	explicit_bzero(phrase, sizeof phrase);
	explicit_bzero(&data, sizeof data);
	return ok;
}

static bool new_setting(int cost, char setting[CRYPT_GENSALT_OUTPUT_SIZE])
{
	return crypt_gensalt_rn("$y$", (unsigned long)cost, NULL, 0, setting, CRYPT_GENSALT_OUTPUT_SIZE);
}

bool password_hash(struct str password, int cost, char text[PASSWORD_TEXT])
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	return new_setting(cost, setting) && crypt_text(password, setting, text);
}

/* Takes the same time wherever the texts differ, so that the time does not help to guess a hash. */
static bool is_equal(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	unsigned char differs = 0;
	for (size_t i = 0; i < a.n; i++)
		differs |= (unsigned char)(a.p[i] ^ b.p[i]);
	return differs == 0;
}

bool password_verify(struct str password, struct str stored, int cost)
{
	char setting[PASSWORD_TEXT], text[PASSWORD_TEXT];
	if (stored.n && stored.p[0] == '$' && stored.n < sizeof setting) {
		memcpy(setting, stored.p, stored.n);
		setting[stored.n] = '\0';
		if (crypt_text(password, setting, text))
			return is_equal(str_of(text), stored);
	}
	password_hash(password, cost, text); /* so that this takes as long as a wrong password */
	return false;
}

static size_t prefix_length(struct str stored)
{
	int dollars = 0;
	for (size_t i = 0; i < stored.n; i++)
		if (stored.p[i] == '$' && ++dollars == PREFIX_DOLLARS)
			return i + 1;
	return stored.n;
}

bool password_is_current(struct str stored, int cost)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	if (!new_setting(cost, setting))
		return true; /* a new hash would fail, too */
	struct str now = str_of(setting);
	return str_eq((struct str){ stored.p, prefix_length(stored) }, (struct str){ now.p, prefix_length(now) });
}
