#include "lifecycle/webhook.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "lifecycle/payment.h"

/* The sizes of keys are those of the Standard Webhooks. */
enum { KEYS_MAX = 4, KEY_MIN = 24, KEY_MAX = 64, MAC = 32, MAC_TEXT = 44 };

/* Base64 of KEY_MAX bytes, and the whole line. */
enum { KEY_TEXT = (KEY_MAX + 2) / 3 * 4, LINE = 256 };

struct key {
	unsigned char secret[KEY_MAX];
	int size;
};

struct webhook_keys {
	struct key keys[KEYS_MAX];
	int count;
};

/* Keys */

/* Bytes have only one spelling: the text must be what OpenSSL would write. */
static bool parse_base64(struct key *k, const char *text)
{
	size_t n = strlen(text);
	unsigned char bytes[KEY_TEXT / 4 * 3], again[KEY_TEXT + 1];
	if (!n || n > KEY_TEXT || n % 4)
		return false;
	int size = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
	if (size > 0)
		size -= (text[n - 1] == '=') + (text[n - 2] == '=');
	bool ok = size >= KEY_MIN && size <= KEY_MAX && EVP_EncodeBlock(again, bytes, size) == (int)n &&
		  memcmp(again, text, n) == 0;
	if (ok) {
		memcpy(k->secret, bytes, (size_t)size);
		k->size = size;
	}
	explicit_bzero(bytes, sizeof bytes);
	explicit_bzero(again, sizeof again);
	return ok;
}

static bool is_known(const struct webhook_keys *ks, const struct key *k)
{
	for (const struct key *other = ks->keys; other < k; other++)
		if (other->size == k->size && memcmp(other->secret, k->secret, (size_t)k->size) == 0)
			return true;
	return false;
}

/* NULL, or what is wrong with the line; it never has the key itself. */
static const char *read_key(struct webhook_keys *ks, struct arena *a, char *line, int number)
{
	static const struct str prefix = { "whsec_", 6 };
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '#' || line[0] == '\0')
		return NULL;
	if (ks->count == KEYS_MAX)
		return arena_printf(a, "it has more than %d keys: remove the oldest", KEYS_MAX);
	struct key *k = &ks->keys[ks->count];
	if (!str_starts(str_of(line), prefix) || !parse_base64(k, line + prefix.n))
		return arena_printf(a, "line %d is not a key: write whsec_ and %d to %d bytes in base64", number,
				    KEY_MIN, KEY_MAX);
	if (is_known(ks, k))
		return arena_printf(a, "line %d repeats a key: remove it", number);
	ks->count++;
	return NULL;
}

static const char *read_keys(struct webhook_keys *ks, struct arena *a, FILE *f)
{
	char line[LINE];
	const char *problem = NULL;
	for (int number = 1; !problem && fgets(line, sizeof line, f); number++)
		problem = read_key(ks, a, line, number);
	explicit_bzero(line, sizeof line);
	return problem || ks->count ? problem : "it has no key: add a line whsec_BASE64";
}

struct webhook_keys *webhook_keys_new(const struct conf *conf, struct arena *a, const char **problem)
{
	struct webhook_keys *ks = alloc_zeroed(1, sizeof *ks);
	*problem = NULL;
	if (!*conf->payment_key_file)
		return ks;
	FILE *f = fopen(conf->payment_key_file, "r");
	*problem = f ? read_keys(ks, a, f) : strerror(errno);
	if (f)
		fclose(f);
	if (!*problem)
		return ks;
	*problem = arena_printf(a, "payment_key_file %s: %s", conf->payment_key_file, *problem);
	webhook_keys_free(ks);
	return NULL;
}

void webhook_keys_free(struct webhook_keys *ks)
{
	if (!ks)
		return;
	explicit_bzero(ks, sizeof *ks);
	free(ks);
}

bool webhook_has_keys(const struct webhook_keys *ks)
{
	return ks && ks->count;
}

/* Checking */

/* The entry "v1,BASE64" that this key would make. */
static void sign(const struct key *k, struct str text, char entry[3 + MAC_TEXT + 1])
{
	unsigned char mac[MAC];
	unsigned int size = 0;
	if (!HMAC(EVP_sha256(), k->secret, k->size, (const unsigned char *)text.p, text.n, mac, &size))
		abort();
	memcpy(entry, "v1,", 3);
	EVP_EncodeBlock((unsigned char *)entry + 3, mac, MAC);
}

/* Compares with every entry, whether an earlier one was right or not. */
static bool has_entry(struct str signature, const char *entry)
{
	struct str rest = signature, piece;
	bool found = false;
	while (parse_split(&rest, ' ', &piece))
		if (piece.n == 3 + MAC_TEXT)
			found |= CRYPTO_memcmp(piece.p, entry, piece.n) == 0;
	return found;
}

static bool is_signed(const struct webhook_keys *ks, const struct webhook *w)
{
	size_t n = w->id.n + w->timestamp.n + w->body.n + 2;
	char *text = alloc_zeroed(1, n), *p = text, entry[3 + MAC_TEXT + 1];
	bool found = false;
	p = mempcpy(mempcpy(p, w->id.p, w->id.n), ".", 1);
	p = mempcpy(mempcpy(p, w->timestamp.p, w->timestamp.n), ".", 1);
	memcpy(p, w->body.p, w->body.n);
	for (int i = 0; i < ks->count; i++) {
		sign(&ks->keys[i], (struct str){ text, n }, entry);
		found |= has_entry(w->signature, entry);
	}
	free(text);
	return found;
}

const char *webhook_problem(const struct webhook_keys *ks, const struct webhook *w, int64_t now_s)
{
	int64_t at_s;
	if (!payment_is_id(w->id))
		return "webhook-id must be 1 to 128 characters of A-Z a-z 0-9 _ . : -";
	if (!parse_int(w->timestamp, 0, NUMBER_MAX, &at_s) || at_s < now_s - WEBHOOK_TOLERANCE_S ||
	    at_s > now_s + WEBHOOK_TOLERANCE_S)
		return "webhook-timestamp must be seconds since 1970, at most 300 s from this host's clock";
	if (!is_signed(ks, w))
		return "webhook-signature has no v1 signature of this message with a key of ours";
	return NULL;
}
