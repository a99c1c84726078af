#include "account/token.h"

#include <errno.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "account/token_payload.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "base/random.h"
#include "base/table.h"

enum { KEYS_MAX = 4, KEY_MIN = 32, KEY_MAX = 128, TOKEN_MIN = 20, TOKEN_MAX = 2048, MAC = 32 };

/* nbf is this long before iat: the clock of another host may be behind, or the clock of this host may be set back. */
enum { CLOCKS_APART_S = REVOKED_KEEP_S };

struct key {
	char kid[33];
	unsigned char secret[KEY_MAX];
	int size;
	char *header; /* of tokens with this key, as libjwt writes it: base64url, without the dot */
	size_t header_size;
	EVP_MAC_CTX *mac; /* keyed; every check restarts it */
};

struct tokens {
	const struct conf *conf;
	struct key keys[KEYS_MAX];
	int count;
	struct table revoked;
	size_t sweep_at; /* expired ones are removed when revoked has this many */
};

struct revoked {
	struct table_node node; /* its hash is the jti, which is random */
	int64_t expires_s;
};

/* Issuing */

static jwt_t *unsigned_jwt(const struct tokens *ts, const struct token *t, int64_t now_s)
{
	jwt_t *jwt = NULL;
	char sub[24], jti[24];
	snprintf(sub, sizeof sub, "%lld", (long long)t->user);
	snprintf(jti, sizeof jti, "%016llx", (unsigned long long)t->id);
	jwt_new(&jwt);
	alloc_checked(jwt);
	jwt_add_grant(jwt, "sub", sub);
	jwt_add_grant(jwt, "name", t->name.p);
	jwt_add_grant(jwt, "kind", t->kind == KIND_SELLER ? "saler" : "customer");
	jwt_add_grant(jwt, "iss", ts->conf->token_issuer);
	jwt_add_grant(jwt, "aud", ts->conf->token_issuer);
	jwt_add_grant(jwt, "jti", jti);
	jwt_add_grant_int(jwt, "iat", (long)now_s);
	jwt_add_grant_int(jwt, "nbf", (long)(now_s > CLOCKS_APART_S ? now_s - CLOCKS_APART_S : 0));
	jwt_add_grant_int(jwt, "exp", (long)t->expires_s);
	return jwt;
}

static char *sign(jwt_t *jwt, const struct key *k)
{
	char *text = NULL;
	if (jwt_add_header(jwt, "kid", k->kid) == 0 && jwt_set_alg(jwt, JWT_ALG_HS256, k->secret, k->size) == 0)
		text = jwt_encode_str(jwt);
	jwt_free(jwt);
	if (!text)
		abort();
	return text;
}

struct str token_issue(struct tokens *ts, struct arena *a, struct token *t)
{
	int64_t now_s = time(NULL);
	random_bytes(&t->id, sizeof t->id);
	t->expires_s = now_s + ts->conf->token_ttl_s;
	t->name = arena_str(a, t->name);
	char *text = sign(unsigned_jwt(ts, t, now_s), &ts->keys[0]);
	struct str jwt = arena_str(a, str_of(text));
	free(text);
	return jwt;
}

/* Keys */

static EVP_MAC_CTX *keyed_mac(const struct key *k)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end() };
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
	EVP_MAC_free(hmac);
	if (!mac || !EVP_MAC_init(mac, k->secret, (size_t)k->size, params))
		abort();
	return mac;
}

static void prepare_key(struct tokens *ts, struct key *k)
{
	struct token nobody = { .name = STR("x"), .kind = KIND_CUSTOMER };
	char *text = sign(unsigned_jwt(ts, &nobody, 0), k);
	k->header_size = strcspn(text, ".");
	k->header = strndup(text, k->header_size);
	k->mac = keyed_mac(k);
	free(text);
}

static bool parse_hex(struct key *k, const char *hex)
{
	size_t n = strlen(hex);
	if (n % 2 || n < 2 * KEY_MIN || n > 2 * KEY_MAX || strspn(hex, "0123456789abcdefABCDEF") != n)
		return false;
	for (size_t i = 0; i < n / 2; i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
		k->secret[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	k->size = (int)(n / 2);
	return true;
}

static const char *read_key(struct tokens *ts, struct arena *a, char *line, int number)
{
	char kid[33], hex[2 * KEY_MAX + 2], rest;
	if (line[0] == '#' || line[0] == '\n')
		return NULL;
	struct key *k = &ts->keys[ts->count];
	if (sscanf(line, "%32s %257s %c", kid, hex, &rest) != 2 || !parse_hex(k, hex))
		return arena_printf(a, "line %d is not a key: write KID and %d to %d bytes in hex", number, KEY_MIN,
				    KEY_MAX);
	for (int i = 0; i < ts->count; i++)
		if (strcmp(ts->keys[i].kid, kid) == 0)
			return arena_printf(a, "line %d repeats the key id %s: give each key its own", number, kid);
	memcpy(k->kid, kid, sizeof kid);
	prepare_key(ts, k);
	ts->count++;
	return NULL;
}

static const char *read_keys(struct tokens *ts, struct arena *a, FILE *f)
{
	char line[512];
	const char *problem = NULL;
	for (int number = 1; !problem && fgets(line, sizeof line, f); number++)
		problem = ts->count == KEYS_MAX ? "it has more than 4 keys: remove the oldest"
						: read_key(ts, a, line, number);
	explicit_bzero(line, sizeof line);
	return problem || ts->count ? problem : "it has no key: add a line KID HEX";
}

struct tokens *tokens_new(const struct conf *conf, struct arena *a, const char **problem)
{
	struct tokens *ts = alloc_zeroed(1, sizeof *ts);
	FILE *f = fopen(conf->token_key_file, "r");
	ts->conf = conf;
	*problem = f ? read_keys(ts, a, f) : strerror(errno);
	if (f)
		fclose(f);
	if (!*problem)
		return ts;
	*problem = arena_printf(a, "token_key_file %s: %s", conf->token_key_file, *problem);
	tokens_free(ts);
	return NULL;
}

static void free_revoked(struct table_node *n)
{
	free(n);
}

void tokens_free(struct tokens *ts)
{
	if (!ts)
		return;
	for (int i = 0; i < ts->count; i++) {
		free(ts->keys[i].header);
		EVP_MAC_CTX_free(ts->keys[i].mac);
	}
	table_clear(&ts->revoked, free_revoked);
	explicit_bzero(ts->keys, sizeof ts->keys);
	free(ts);
}

/* Checking */

static bool split(struct str jwt, struct str part[3])
{
	struct str rest = jwt;
	for (int i = 0; i < 3; i++)
		if (!parse_split(&rest, '.', &part[i]) || part[i].n == 0)
			return false;
	return rest.p == NULL;
}

static bool is_signed_by(const struct key *k, struct str signed_part, struct str signature)
{
	unsigned char mac[MAC];
	size_t size = 0;
	if (!EVP_MAC_init(k->mac, NULL, 0, NULL) ||
	    !EVP_MAC_update(k->mac, (const unsigned char *)signed_part.p, signed_part.n) ||
	    !EVP_MAC_final(k->mac, mac, &size, sizeof mac))
		abort();
	return signature.n == MAC && CRYPTO_memcmp(mac, signature.p, MAC) == 0;
}

static bool read_hex(struct str text, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		*value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return text.n == 16;
}

/*
 * Hosts' clocks differ by seconds even when they are synchronized: a token is accepted this long before its nbf and
 * this long after its exp.
 */
enum { LEEWAY_S = 30 };

/*
 * As RFC 8725 asks, every field is present, of its type and within its bounds (token_payload_read), and has a value
 * that we accept. The lifetime of a token is compared with the largest token_ttl_s that the settings allow, because
 * token_ttl_s may have changed since the token was issued.
 */
static enum status check_payload(const struct tokens *ts, const struct token_payload *p, int64_t now_s, struct token *t)
{
	struct str own = str_of(ts->conf->token_issuer);
	bool seller = str_eq(p->kind, STR("saler"));
	if (!str_eq(p->issuer, own) || !str_eq(p->audience, own) || (!seller && !str_eq(p->kind, STR("customer"))) ||
	    !parse_int(p->subject, 1, INT64_MAX, &t->user) || !read_hex(p->id, &t->id) ||
	    p->not_before_s > now_s + LEEWAY_S || p->issued_s > now_s + CLOCKS_APART_S + LEEWAY_S ||
	    p->expires_s - p->issued_s > CONF_MAX_token_ttl_s)
		return STATUS_BAD_TOKEN;
	t->name = p->name;
	t->kind = seller ? KIND_SELLER : KIND_CUSTOMER;
	t->expires_s = p->expires_s;
	return p->expires_s + LEEWAY_S <= now_s ? STATUS_EXPIRED_TOKEN : STATUS_OK;
}

static const struct key *key_of_header(const struct tokens *ts, struct str header)
{
	for (int i = 0; i < ts->count; i++)
		if (header.n == ts->keys[i].header_size && memcmp(header.p, ts->keys[i].header, header.n) == 0)
			return &ts->keys[i];
	return NULL;
}

/* RFC 7515, 4.1.11: "crit" lists extensions that a receiver must understand. We understand none. */
static bool has_crit(jwt_t *jwt)
{
	char *crit = jwt_get_headers_json(jwt, "crit");
	bool there = crit != NULL;
	free(crit);
	return there;
}

static bool is_accepted_by_libjwt(const struct key *k, const char *text)
{
	jwt_t *jwt = NULL;
	if (jwt_decode(&jwt, text, k->secret, k->size) != 0)
		return false;
	/* jwt_decode accepts any HMAC and ignores the kid. */
	const char *kid = jwt_get_header(jwt, "kid"), *alg = jwt_get_header(jwt, "alg");
	bool ok = alg && strcmp(alg, "HS256") == 0 && jwt_get_alg(jwt) == JWT_ALG_HS256 && kid &&
		  strcmp(kid, k->kid) == 0 && !has_crit(jwt);
	jwt_free(jwt);
	return ok;
}

enum status token_check_libjwt(struct tokens *ts, struct arena *a, struct str jwt, int64_t now_s, struct token *t)
{
	struct str part[3], bytes, json;
	struct token_payload p;
	if (jwt.n < TOKEN_MIN || jwt.n > TOKEN_MAX || !split(jwt, part) || !parse_base64url(a, part[2], &bytes))
		return STATUS_BAD_TOKEN;
	const char *text = arena_str(a, jwt).p;
	for (int i = 0; i < ts->count; i++)
		if (is_accepted_by_libjwt(&ts->keys[i], text))
			return parse_base64url(a, part[1], &json) && token_payload_read(a, json, &p)
				       ? check_payload(ts, &p, now_s, t)
				       : STATUS_BAD_TOKEN;
	return STATUS_BAD_TOKEN;
}

static enum status check_jwt(struct tokens *ts, struct arena *a, struct str jwt, int64_t now_s, struct token *t)
{
	struct str part[3], signature, json;
	struct token_payload p;
	if (jwt.n < TOKEN_MIN || jwt.n > TOKEN_MAX || !split(jwt, part))
		return STATUS_BAD_TOKEN;
	const struct key *k = key_of_header(ts, part[0]);
	if (!k)
		return token_check_libjwt(ts, a, jwt, now_s, t);
	struct str signed_part = { jwt.p, part[0].n + 1 + part[1].n };
	if (!parse_base64url(a, part[2], &signature) || !is_signed_by(k, signed_part, signature) ||
	    !parse_base64url(a, part[1], &json) ||
	    (!token_payload_read_own(json, &p) && !token_payload_read(a, json, &p)))
		return STATUS_BAD_TOKEN;
	return check_payload(ts, &p, now_s, t);
}

/* Logged-out tokens */

static struct revoked *find_revoked(const struct tokens *ts, uint64_t id)
{
	return (struct revoked *)table_find(&ts->revoked, id);
}

static int free_if_expired(struct table_node *n, void *now)
{
	struct revoked *r = (struct revoked *)n;
	if (r->expires_s + REVOKED_KEEP_S > *(int64_t *)now)
		return 0;
	free(r);
	return 1;
}

void tokens_revoke(struct tokens *ts, uint64_t id, int64_t expires_s)
{
	int64_t now_s = time(NULL);
	if (find_revoked(ts, id))
		return;
	/* Sweeping when the count has doubled since the last sweep keeps the cost for each token small. */
	if (ts->revoked.count >= ts->sweep_at) {
		table_sweep(&ts->revoked, free_if_expired, &now_s);
		ts->sweep_at = 2 * ts->revoked.count + 1024;
	}
	struct revoked *r = alloc_zeroed(1, sizeof *r);
	r->expires_s = expires_s;
	table_put(&ts->revoked, &r->node, id);
}

enum status token_check(struct tokens *ts, struct arena *a, struct str authorization, int64_t now_s, struct token *t)
{
	struct str jwt = authorization;
	if (!jwt.n)
		return STATUS_NO_TOKEN;
	if (jwt.n > 7 && strncasecmp(jwt.p, "Bearer ", 7) == 0)
		jwt = (struct str){ jwt.p + 7, jwt.n - 7 };
	while (jwt.n && jwt.p[0] == ' ')
		jwt = (struct str){ jwt.p + 1, jwt.n - 1 };
	enum status s = check_jwt(ts, a, jwt, now_s, t);
	if (s == STATUS_OK && find_revoked(ts, t->id))
		return STATUS_REVOKED_TOKEN;
	return s;
}
