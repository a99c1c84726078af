/* Tokens as somebody else would make them, right or wrong: any header, any payload, any key. */
#ifndef UNIT_FORGE_H
#define UNIT_FORGE_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "account/token.h"
#include "base/buf.h"

/* base64url without padding. */
static inline struct str forge_base64(struct arena *a, struct str bytes)
{
	unsigned char *text = arena_alloc(a, 4 * (bytes.n + 2) / 3 + 4);
	int n = EVP_EncodeBlock(text, (const unsigned char *)bytes.p, (int)bytes.n);
	while (n && text[n - 1] == '=')
		text[--n] = '\0';
	for (int i = 0; i < n; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	return (struct str){ (char *)text, (size_t)n };
}

/* base64(header).base64(payload).base64(HMAC of both) */
static inline struct str forge_token(struct arena *a, const EVP_MD *md, struct str key, struct str header,
				     struct str payload)
{
	struct buf b;
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	buf_init(&b, a);
	buf_put(&b, forge_base64(a, header));
	buf_puts(&b, ".");
	buf_put(&b, forge_base64(a, payload));
	HMAC(md, key.p, (int)key.n, (const unsigned char *)b.p, b.n, mac, &size);
	buf_puts(&b, ".");
	buf_put(&b, forge_base64(a, (struct str){ (char *)mac, size }));
	return buf_str(&b);
}

/* The tokens of a program whose only key is "k1". Initialises conf, which must live as long. */
static inline struct tokens *forge_tokens(struct conf *conf, struct arena *a, struct str key)
{
	char path[] = "/tmp/seckill-keys-XXXXXX", setting[64];
	const char *problem;
	FILE *f = fdopen(mkstemp(path), "w");
	if (!f)
		abort();
	fputs("k1 ", f);
	for (size_t i = 0; i < key.n; i++)
		fprintf(f, "%02x", key.p[i]);
	fclose(f);
	conf_init(conf);
	snprintf(setting, sizeof setting, "token_key_file=%s", path);
	conf_set(conf, setting, "test");
	struct tokens *tokens = tokens_new(conf, a, &problem);
	unlink(path);
	if (!tokens)
		abort();
	return tokens;
}

#endif
