/*
 * Tokens: which are accepted and which are not. Forged ones are made here with
 * OpenSSL, so that each is wrong in one place only.
 */
#include "unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "account/token.h"
#include "unit/forge.h"

/* Two keys of 32 bytes: "k1" is made of 0x11, "k2" of 0x22. */
#define K1 "1111111111111111111111111111111111111111111111111111111111111111"
#define K2 "2222222222222222222222222222222222222222222222222222222222222222"

static const struct str key1 = BYTES("\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
				     "\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"),
			key2 = BYTES("\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22"
				     "\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22"),
			no_key = BYTES(""), short_key = BYTES("\x11"),
			padded_key = BYTES("\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
					   "\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\0"
					   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");

static char path[] = "/tmp/seckill-keys-XXXXXX";
static struct conf conf;
static struct arena arena;

static struct tokens *with_keys(const char *text, const char **problem)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return tokens_new(&conf, &arena, problem);
}

static struct tokens *good(const char *text)
{
	const char *problem;
	struct tokens *ts = with_keys(text, &problem);
	expect(ts, "%s", problem);
	return ts;
}

static int start(void **state)
{
	(void)state;
	char setting[64];
	int fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	arena_init(&arena);
	conf_init(&conf);
	snprintf(setting, sizeof setting, "token_key_file=%s", path);
	conf_set(&conf, setting, "test");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	arena_release(&arena);
	conf_release(&conf);
	return unlink(path);
}

static const char *verdict(enum status s)
{
	return status_code(s);
}

/* Issued here */

static void an_issued_token_is_accepted(void **state)
{
	(void)state;
	struct tokens *ts = good("# keys\nk1 " K1 "\n\n");
	struct token t = { .user = 123456789012345678, .name = STR("M\xc3\xbcller \"x\""), .kind = KIND_SELLER }, back = { 0 };
	struct str jwt = token_issue(ts, &arena, &t);
	int64_t now = time(NULL);
	assert_int_equal(token_check(ts, &arena, jwt, now, &back), STATUS_OK);
	assert_int_equal(back.user, t.user);
	assert_true(str_eq(back.name, STR("M\xc3\xbcller \"x\"")));
	assert_int_equal(back.kind, KIND_SELLER);
	assert_true(back.id == t.id);
	assert_int_equal(back.expires_s, t.expires_s);
	assert_true(t.expires_s <= now + conf.token_ttl_s && t.expires_s >= now + conf.token_ttl_s - 1);
	tokens_free(ts);
}

static void a_token_is_accepted_until_half_a_minute_after_exp(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\n");
	struct token t = { .user = 1, .name = STR("x"), .kind = KIND_CUSTOMER }, back;
	struct str jwt = token_issue(ts, &arena, &t);
	static const struct {
		int64_t after_expiry_s;
		enum status status;
	} rows[] = { { -1, STATUS_OK }, { 0, STATUS_OK }, { 29, STATUS_OK }, { 30, STATUS_EXPIRED_TOKEN },
		     { 1000000, STATUS_EXPIRED_TOKEN } };
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect(token_check(ts, &arena, jwt, t.expires_s + rows[i].after_expiry_s, &back) == rows[i].status,
		       "%lld", (long long)rows[i].after_expiry_s);
	tokens_free(ts);
}

/* Pools restart one after the other: for a while they have different values. */
static void a_token_is_accepted_with_any_token_ttl_s(void **state)
{
	(void)state;
	static const int values[] = { 1, 60, 43200, CONF_MAX_token_ttl_s };
	struct conf issuing = conf, checking = conf;
	const char *problem;
	tokens_free(good("k1 " K1 "\n"));
	struct tokens *issuer = tokens_new(&issuing, &arena, &problem), *checker = tokens_new(&checking, &arena, &problem);
	for (size_t i = 0; i < COUNT_OF(values) * COUNT_OF(values); i++) {
		struct token t = { .user = 1, .name = STR("x"), .kind = KIND_CUSTOMER }, back;
		issuing.token_ttl_s = values[i % COUNT_OF(values)];
		checking.token_ttl_s = values[i / COUNT_OF(values)];
		struct str jwt = token_issue(issuer, &arena, &t);
		int64_t issued_s = t.expires_s - issuing.token_ttl_s;
		expect(token_check(checker, &arena, jwt, issued_s, &back) == STATUS_OK, "issued with %d, checked with %d",
		       issuing.token_ttl_s, checking.token_ttl_s);
		expect(token_check(checker, &arena, jwt, t.expires_s + 30, &back) == STATUS_EXPIRED_TOKEN,
		       "issued with %d, checked with %d, late", issuing.token_ttl_s, checking.token_ttl_s);
	}
	tokens_free(issuer);
	tokens_free(checker);
}

static void the_authorization_value_has_two_forms(void **state)
{
	(void)state;
	static const struct {
		const char *before, *after;
		enum status status;
	} rows[] = {
		{ "", "", STATUS_OK },			 { "Bearer ", "", STATUS_OK },
		{ "bearer ", "", STATUS_OK },		 { "BEARER ", "", STATUS_OK },
		{ "Basic ", "", STATUS_BAD_TOKEN },	 { "Bearer", "", STATUS_BAD_TOKEN },
		{ "Bearer Bearer ", "", STATUS_BAD_TOKEN }, { "\"", "\"", STATUS_BAD_TOKEN },
		{ "", " ", STATUS_BAD_TOKEN },		 { "", "=", STATUS_BAD_TOKEN },
		{ "", ".", STATUS_BAD_TOKEN },		 { ".", "", STATUS_BAD_TOKEN },
		{ "", ".e30", STATUS_BAD_TOKEN },	 { "e30.", "", STATUS_BAD_TOKEN },
		{ "", "A", STATUS_BAD_TOKEN },		 { "A", "", STATUS_BAD_TOKEN },
	};
	struct tokens *ts = good("k1 " K1 "\n");
	struct token t = { .user = 1, .name = STR("x"), .kind = KIND_CUSTOMER };
	const char *jwt = token_issue(ts, &arena, &t).p;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *value = arena_printf(&arena, "%s%s%s", rows[i].before, jwt, rows[i].after);
		enum status s = token_check(ts, &arena, str_of(value), time(NULL), &t);
		expect(s == rows[i].status, "'%sJWT%s': %s", rows[i].before, rows[i].after, verdict(s));
	}
	assert_int_equal(token_check(ts, &arena, STR(""), time(NULL), &t), STATUS_NO_TOKEN);
	assert_int_equal(token_check(ts, &arena, (struct str){ 0 }, time(NULL), &t), STATUS_NO_TOKEN);
	assert_int_equal(token_check(ts, &arena, STR("Bearer "), time(NULL), &t), STATUS_BAD_TOKEN);
	assert_int_equal(token_check(ts, &arena, STR("x"), time(NULL), &t), STATUS_BAD_TOKEN);
	tokens_free(ts);
}

static void a_logged_out_token_is_refused(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\n");
	struct token one = { .user = 1, .name = STR("x"), .kind = KIND_CUSTOMER }, two = one, back;
	struct str first = token_issue(ts, &arena, &one), second = token_issue(ts, &arena, &two);
	tokens_revoke(ts, one.id, one.expires_s);
	tokens_revoke(ts, one.id, one.expires_s);
	assert_int_equal(token_check(ts, &arena, first, time(NULL), &back), STATUS_REVOKED_TOKEN);
	assert_int_equal(token_check(ts, &arena, second, time(NULL), &back), STATUS_OK);
	/* it stays refused while others are added and expired ones removed */
	for (uint64_t id = 1; id < 5000; id++)
		tokens_revoke(ts, id * 0x9e3779b97f4a7c15, id % 2 ? 1000 : one.expires_s);
	assert_int_equal(token_check(ts, &arena, first, time(NULL), &back), STATUS_REVOKED_TOKEN);
	assert_int_equal(token_check(ts, &arena, second, time(NULL), &back), STATUS_OK);
	tokens_free(ts);
}

/* Keys change */

static void keys_rotate(void **state)
{
	(void)state;
	static const char *const generations[] = { "k1 " K1 "\n", "k1 " K1 "\nk2 " K2 "\n", "k2 " K2 "\nk1 " K1 "\n",
						   "k2 " K2 "\n" };
	enum { STEPS = COUNT_OF(generations) };
	static const bool taken[STEPS][STEPS] = {
		/* by who is at step 0, 1, 2, 3; a row for the step at which the token was issued */
		{ true, true, true, false },
		{ true, true, true, false },
		{ false, true, true, true },
		{ false, true, true, true },
	};
	struct str issued[STEPS];
	for (size_t i = 0; i < STEPS; i++) {
		struct token t = { .user = 1, .name = STR("x"), .kind = KIND_CUSTOMER };
		struct tokens *ts = good(generations[i]);
		issued[i] = token_issue(ts, &arena, &t);
		tokens_free(ts);
	}
	for (size_t by = 0; by < STEPS; by++) {
		struct tokens *ts = good(generations[by]);
		for (size_t i = 0; i < STEPS; i++) {
			struct token t;
			bool ok = token_check(ts, &arena, issued[i], time(NULL), &t) == STATUS_OK;
			expect(ok == taken[i][by], "issued at step %zu, checked at %zu", i, by);
		}
		tokens_free(ts);
	}
}

static void a_key_file_must_be_right(void **state)
{
	(void)state;
	static const struct {
		const char *what, *text, *says;
	} rows[] = {
		{ "nothing in it", "", "no key" },
		{ "remarks only", "# none yet\n", "no key" },
		{ "no kid", K1 "\n", "line 1" },
		{ "a short key", "k1 1111\n", "line 1" },
		{ "31 bytes", "k1 11111111111111111111111111111111111111111111111111111111111111\n", "line 1" },
		{ "an odd digit", "k1 " K1 "1\n", "line 1" },
		{ "no hex", "k1 " K1 "zz\n", "line 1" },
		{ "a sign", "k1 -1" K1 "\n", "line 1" },
		{ "129 bytes", "k1 " K1 K1 K1 K1 "11\n", "line 1" },
		{ "a third word", "k1 " K1 " extra\n", "line 1" },
		{ "a kid of 33 characters", "k23456789012345678901234567890123 " K1 "\n", "line 1" },
		{ "the second line is bad", "k1 " K1 "\nk2\n", "line 2" },
		{ "a kid twice", "k1 " K1 "\nk2 " K2 "\nk1 " K2 "\n", "line 3" },
		{ "five keys", "a " K1 "\nb " K1 "\nc " K1 "\nd " K1 "\ne " K1 "\n", "more than 4" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *problem = NULL;
		struct tokens *ts = with_keys(rows[i].text, &problem);
		expect(!ts, "%s", rows[i].what);
		expect(problem && strstr(problem, rows[i].says) && strstr(problem, path), "%s: %s", rows[i].what, problem);
	}
}

static void a_key_file_that_is_missing_is_named(void **state)
{
	(void)state;
	struct conf other;
	const char *problem = NULL;
	conf_init(&other);
	conf_set(&other, "token_key_file=/nonexistent/keys", "test");
	assert_null(tokens_new(&other, &arena, &problem));
	assert_non_null(strstr(problem, "/nonexistent/keys"));
	conf_release(&other);
}

static void four_long_keys_are_fine(void **state)
{
	(void)state;
	struct tokens *ts = good("a " K1 K1 K1 K1 "\r\nb\t" K2 "\nc " K1 K2 "\nd " K2 K1);
	struct token t = { .user = 1, .name = STR("x"), .kind = KIND_CUSTOMER };
	assert_int_equal(token_check(ts, &arena, token_issue(ts, &arena, &t), time(NULL), &t), STATUS_OK);
	tokens_free(ts);
}

/* Forged: a good token's header and payload, with one thing changed. NOW stands for the time of the check. */

enum { NOW = 1800000000 };

/* Byte for byte as token_issue writes it, for the fast check. A token with the other one is checked by libjwt. */
#define HEADER "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"
#define OTHER_HEADER "{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"k1\"}"
#define OUR_PAYLOAD(exp, iat, kind, name, sub)                                                                         \
	"{\"aud\":\"seckill\",\"exp\":" exp ",\"iat\":" iat ",\"iss\":\"seckill\",\"jti\":\"0123456789abcdef\","       \
	"\"kind\":\"" kind "\",\"name\":\"" name "\",\"nbf\":1800000000,\"sub\":\"" sub "\"}"
#define PAYLOAD(changed)                                                                                               \
	"{\"sub\":\"42\",\"name\":\"bob\",\"kind\":\"customer\",\"iss\":\"seckill\",\"aud\":\"seckill\","              \
	"\"jti\":\"0123456789abcdef\",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000060" changed "}"

/* All members but one; the caller writes that one. */
#define BUT_SUB(m)                                                                                                     \
	"{\"name\":\"bob\",\"kind\":\"customer\",\"iss\":\"seckill\",\"aud\":\"seckill\",\"jti\":\"0123456789abcdef\"," \
	"\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000060" m "}"
#define BUT_NAME(m)                                                                                                    \
	"{\"sub\":\"42\",\"kind\":\"customer\",\"iss\":\"seckill\",\"aud\":\"seckill\",\"jti\":\"0123456789abcdef\","  \
	"\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000060" m "}"
#define BUT_KIND(m)                                                                                                    \
	"{\"sub\":\"42\",\"name\":\"bob\",\"iss\":\"seckill\",\"aud\":\"seckill\",\"jti\":\"0123456789abcdef\","       \
	"\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000060" m "}"
#define BUT_ISS(m)                                                                                                     \
	"{\"sub\":\"42\",\"name\":\"bob\",\"kind\":\"customer\",\"aud\":\"seckill\",\"jti\":\"0123456789abcdef\","     \
	"\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000060" m "}"
#define BUT_AUD(m)                                                                                                     \
	"{\"sub\":\"42\",\"name\":\"bob\",\"kind\":\"customer\",\"iss\":\"seckill\",\"jti\":\"0123456789abcdef\","     \
	"\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000060" m "}"
#define BUT_JTI(m)                                                                                                     \
	"{\"sub\":\"42\",\"name\":\"bob\",\"kind\":\"customer\",\"iss\":\"seckill\",\"aud\":\"seckill\","              \
	"\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000060" m "}"
#define BUT_IAT(m)                                                                                                     \
	"{\"sub\":\"42\",\"name\":\"bob\",\"kind\":\"customer\",\"iss\":\"seckill\",\"aud\":\"seckill\","              \
	"\"jti\":\"0123456789abcdef\",\"nbf\":1800000000,\"exp\":1800000060" m "}"
#define BUT_NBF(m)                                                                                                     \
	"{\"sub\":\"42\",\"name\":\"bob\",\"kind\":\"customer\",\"iss\":\"seckill\",\"aud\":\"seckill\","              \
	"\"jti\":\"0123456789abcdef\",\"iat\":1800000000,\"exp\":1800000060" m "}"
#define BUT_EXP(m)                                                                                                     \
	"{\"sub\":\"42\",\"name\":\"bob\",\"kind\":\"customer\",\"iss\":\"seckill\",\"aud\":\"seckill\","              \
	"\"jti\":\"0123456789abcdef\",\"iat\":1800000000,\"nbf\":1800000000" m "}"

struct forgery {
	const char *what;
	struct str header, payload;
	const struct str *key; /* NULL: signed with key1 */
	enum status status;
};

static const struct forgery forgeries[] = {
	{ "a good one", BYTES(HEADER), BYTES(PAYLOAD("")), NULL, STATUS_OK },
	{ "a good one of another writer", BYTES("{ \"kid\": \"k1\", \"alg\": \"HS256\" }"), BYTES(PAYLOAD("")), NULL, STATUS_OK },
	{ "a member more", BYTES(HEADER), BYTES(PAYLOAD(",\"scope\":\"all\"")), NULL, STATUS_OK },
	{ "a seller", BYTES(HEADER), BYTES(BUT_KIND(",\"kind\":\"saler\"")), NULL, STATUS_OK },

	/* spelled as token_issue spells them */
	{ "ours", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060", "1800000000", "customer", "bob", "42")), NULL, STATUS_OK },
	{ "ours, escaped", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060", "1800000000", "customer", "b\\u006fb", "42")), NULL, STATUS_OK },
	{ "ours, another key", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060", "1800000000", "customer", "bob", "42")), &key2, STATUS_BAD_TOKEN },
	{ "ours, expired", BYTES(HEADER), BYTES(OUR_PAYLOAD("1799999970", "1800000000", "customer", "bob", "42")), NULL, STATUS_EXPIRED_TOKEN },
	{ "ours, just expired", BYTES(HEADER), BYTES(OUR_PAYLOAD("1799999971", "1800000000", "customer", "bob", "42")), NULL, STATUS_OK },
	{ "ours, years ahead", BYTES(HEADER), BYTES(OUR_PAYLOAD("1900000000", "1800000000", "customer", "bob", "42")), NULL, STATUS_BAD_TOKEN },
	{ "ours, iat ahead", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060", "1800000031", "customer", "bob", "42")), NULL, STATUS_OK },
	{ "ours, kind admin", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060", "1800000000", "admin", "bob", "42")), NULL, STATUS_BAD_TOKEN },
	{ "ours, sub 0", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060", "1800000000", "customer", "bob", "0")), NULL, STATUS_BAD_TOKEN },
	{ "ours, sub 42x", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060", "1800000000", "customer", "bob", "42x")), NULL, STATUS_BAD_TOKEN },
	{ "ours, exp in front of another", BYTES(HEADER), BYTES(OUR_PAYLOAD("1800000060,\"exp\":1", "1800000000", "customer", "bob", "42")), NULL, STATUS_BAD_TOKEN },

	/* algorithms */
	{ "alg none", BYTES("{\"alg\":\"none\",\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "alg None", BYTES("{\"alg\":\"None\",\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "alg NONE", BYTES("{\"alg\":\"NONE\",\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "alg RS256", BYTES("{\"alg\":\"RS256\",\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "alg ES256", BYTES("{\"alg\":\"ES256\",\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "an unknown alg", BYTES("{\"alg\":\"HS1\",\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "no alg", BYTES("{\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "alg null", BYTES("{\"alg\":null,\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "alg a number", BYTES("{\"alg\":256,\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },

	/* RFC 7515, 4.1.11: no critical extension is understood here */
	{ "crit", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":[\"x\"],\"x\":1}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit of b64", BYTES("{\"alg\":\"HS256\",\"b64\":true,\"crit\":[\"b64\"],\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit of exp", BYTES("{\"crit\":[\"exp\"],\"exp\":1,\"alg\":\"HS256\",\"kid\":\"k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit of what is missing", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":[\"x\"]}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit is empty", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":[]}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit is null", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":null}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit is false", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":false}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit is a string", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":\"\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit is an object", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":{}}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit is escaped", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"cr\\u0069t\":[\"x\"]}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit is twice", BYTES("{\"crit\":[\"x\"],\"alg\":\"HS256\",\"kid\":\"k1\",\"crit\":null}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "crit behind our header", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"JWT\",\"crit\":[\"x\"]}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "a parameter that is not understood, and need not be", BYTES("{\"alg\":\"HS256\",\"kid\":\"k1\",\"x\":{\"crit\":[\"x\"]}}"), BYTES(PAYLOAD("")), NULL, STATUS_OK },

	/* keys */
	{ "the empty key", BYTES(HEADER), BYTES(PAYLOAD("")), &no_key, STATUS_BAD_TOKEN },
	{ "a key of one byte", BYTES(HEADER), BYTES(PAYLOAD("")), &short_key, STATUS_BAD_TOKEN },
	{ "another key under our kid", BYTES(HEADER), BYTES(PAYLOAD("")), &key2, STATUS_BAD_TOKEN },
	{ "our key under another kid", BYTES("{\"alg\":\"HS256\",\"kid\":\"k2\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "an unknown kid", BYTES("{\"alg\":\"HS256\",\"kid\":\"k9\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "a kid that is a path", BYTES("{\"alg\":\"HS256\",\"kid\":\"../k1\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "no kid", BYTES("{\"alg\":\"HS256\"}"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "a header that is no JSON", BYTES("HS256"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },
	{ "a header that is a list", BYTES("[\"HS256\",\"k1\"]"), BYTES(PAYLOAD("")), NULL, STATUS_BAD_TOKEN },

	/* times */
	{ "exp is missing", BYTES(HEADER), BYTES(BUT_EXP("")), NULL, STATUS_BAD_TOKEN },
	{ "exp is a string", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":\"1800000060\"")), NULL, STATUS_BAD_TOKEN },
	{ "exp is a fraction", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1800000060.5")), NULL, STATUS_BAD_TOKEN },
	{ "exp is true", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":true")), NULL, STATUS_BAD_TOKEN },
	{ "exp is null", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":null")), NULL, STATUS_BAD_TOKEN },
	{ "exp is NaN", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":NaN")), NULL, STATUS_BAD_TOKEN },
	{ "exp is 1e400", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1e400")), NULL, STATUS_BAD_TOKEN },
	{ "exp is 2^64", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":18446744073709551616")), NULL, STATUS_BAD_TOKEN },
	{ "exp is negative", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":-1")), NULL, STATUS_BAD_TOKEN },
	{ "exp is twice", BYTES(HEADER), BYTES(PAYLOAD(",\"exp\":1900000000")), NULL, STATUS_BAD_TOKEN },
	{ "exp is zero", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":0")), NULL, STATUS_EXPIRED_TOKEN },
	{ "exp has passed", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1799999970")), NULL, STATUS_EXPIRED_TOKEN },
	{ "exp has just passed", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1799999971")), NULL, STATUS_OK },
	{ "exp is as token_ttl_s sets it", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1800043200")), NULL, STATUS_OK },
	{ "exp is later than token_ttl_s sets it", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1800043231")), NULL, STATUS_OK },
	{ "exp is as late as can be set", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1802592000")), NULL, STATUS_OK },
	{ "exp is later than can be set", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1802592001")), NULL, STATUS_BAD_TOKEN },
	{ "a life longer than can be set", BYTES(HEADER), BYTES(BUT_IAT(",\"iat\":1797408059")), NULL, STATUS_BAD_TOKEN },
	{ "the longest life, nearly over", BYTES(HEADER), BYTES(BUT_IAT(",\"iat\":1797408060")), NULL, STATUS_OK },
	{ "exp is years ahead", BYTES(HEADER), BYTES(BUT_EXP(",\"exp\":1900000000")), NULL, STATUS_BAD_TOKEN },
	{ "nbf is missing", BYTES(HEADER), BYTES(BUT_NBF("")), NULL, STATUS_BAD_TOKEN },
	{ "nbf is ahead", BYTES(HEADER), BYTES(BUT_NBF(",\"nbf\":1800000031")), NULL, STATUS_BAD_TOKEN },
	{ "nbf is just ahead", BYTES(HEADER), BYTES(BUT_NBF(",\"nbf\":1800000030")), NULL, STATUS_OK },
	{ "iat is missing", BYTES(HEADER), BYTES(BUT_IAT("")), NULL, STATUS_BAD_TOKEN },
	{ "iat is ahead", BYTES(HEADER), BYTES(BUT_IAT(",\"iat\":1800000031")), NULL, STATUS_OK },

	/* who */
	{ "iss is missing", BYTES(HEADER), BYTES(BUT_ISS("")), NULL, STATUS_BAD_TOKEN },
	{ "iss is another", BYTES(HEADER), BYTES(BUT_ISS(",\"iss\":\"evil\"")), NULL, STATUS_BAD_TOKEN },
	{ "iss is ours and more", BYTES(HEADER), BYTES(BUT_ISS(",\"iss\":\"seckill2\"")), NULL, STATUS_BAD_TOKEN },
	{ "iss with NUL", BYTES(HEADER), BYTES(BUT_ISS(",\"iss\":\"seckill\\u0000x\"")), NULL, STATUS_BAD_TOKEN },
	{ "aud is missing", BYTES(HEADER), BYTES(BUT_AUD("")), NULL, STATUS_BAD_TOKEN },
	{ "aud is another", BYTES(HEADER), BYTES(BUT_AUD(",\"aud\":\"other\"")), NULL, STATUS_BAD_TOKEN },
	{ "aud is a list", BYTES(HEADER), BYTES(BUT_AUD(",\"aud\":[\"seckill\"]")), NULL, STATUS_BAD_TOKEN },
	{ "sub is missing", BYTES(HEADER), BYTES(BUT_SUB("")), NULL, STATUS_BAD_TOKEN },
	{ "sub is a number", BYTES(HEADER), BYTES(BUT_SUB(",\"sub\":42")), NULL, STATUS_BAD_TOKEN },
	{ "sub is 0", BYTES(HEADER), BYTES(BUT_SUB(",\"sub\":\"0\"")), NULL, STATUS_BAD_TOKEN },
	{ "sub is -1", BYTES(HEADER), BYTES(BUT_SUB(",\"sub\":\"-1\"")), NULL, STATUS_BAD_TOKEN },
	{ "sub is 42x", BYTES(HEADER), BYTES(BUT_SUB(",\"sub\":\"42x\"")), NULL, STATUS_BAD_TOKEN },
	{ "sub is 2^64 + 42", BYTES(HEADER), BYTES(BUT_SUB(",\"sub\":\"18446744073709551658\"")), NULL, STATUS_BAD_TOKEN },
	{ "sub is twice", BYTES(HEADER), BYTES(PAYLOAD(",\"sub\":\"1\"")), NULL, STATUS_BAD_TOKEN },
	{ "name is missing", BYTES(HEADER), BYTES(BUT_NAME("")), NULL, STATUS_BAD_TOKEN },
	{ "name is empty", BYTES(HEADER), BYTES(BUT_NAME(",\"name\":\"\"")), NULL, STATUS_BAD_TOKEN },
	{ "kind is missing", BYTES(HEADER), BYTES(BUT_KIND("")), NULL, STATUS_BAD_TOKEN },
	{ "kind is admin", BYTES(HEADER), BYTES(BUT_KIND(",\"kind\":\"admin\"")), NULL, STATUS_BAD_TOKEN },
	{ "kind is twice", BYTES(HEADER), BYTES(PAYLOAD(",\"kind\":\"saler\"")), NULL, STATUS_BAD_TOKEN },
	{ "jti is missing", BYTES(HEADER), BYTES(BUT_JTI("")), NULL, STATUS_BAD_TOKEN },
	{ "jti is short", BYTES(HEADER), BYTES(BUT_JTI(",\"jti\":\"0123456789abcde\"")), NULL, STATUS_BAD_TOKEN },
	{ "jti in capitals", BYTES(HEADER), BYTES(BUT_JTI(",\"jti\":\"0123456789ABCDEF\"")), NULL, STATUS_BAD_TOKEN },
	{ "jti has a sign", BYTES(HEADER), BYTES(BUT_JTI(",\"jti\":\"-123456789abcdef\"")), NULL, STATUS_BAD_TOKEN },
	{ "the payload is no JSON", BYTES(HEADER), BYTES("sub=42"), NULL, STATUS_BAD_TOKEN },
	{ "the payload is a list", BYTES(HEADER), BYTES("[42]"), NULL, STATUS_BAD_TOKEN },
	{ "the payload ends early", BYTES(HEADER), BYTES("{\"sub\":\"42\""), NULL, STATUS_BAD_TOKEN },
	{ "something follows the payload", BYTES(HEADER), BYTES(PAYLOAD("") "{}"), NULL, STATUS_BAD_TOKEN },
};

static struct str forged(const struct forgery *f)
{
	return forge_token(&arena, EVP_sha256(), f->key ? *f->key : key1, f->header, f->payload);
}

/* The same, with the header, if it was right, in another spelling. */
static struct str forged_elsewhere(const struct forgery *f)
{
	struct forgery other = *f;
	if (str_eq(f->header, STR(HEADER)))
		other.header = STR(OTHER_HEADER);
	return forged(&other);
}

static void forgeries_have_our_header(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\n");
	struct token t = { .user = 1, .name = STR("x"), .kind = KIND_CUSTOMER };
	struct str issued = token_issue(ts, &arena, &t), header = forge_base64(&arena, STR(HEADER));
	assert_true(str_starts(issued, header) && issued.p[header.n] == '.');
	tokens_free(ts);
}

static void forgeries_are_refused(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\nk2 " K2 "\n");
	int failed = 0;
	for (size_t i = 0; i < 2 * COUNT_OF(forgeries); i++) {
		struct token t;
		const struct forgery *f = &forgeries[i / 2];
		enum status s = token_check(ts, &arena, i % 2 ? forged(f) : forged_elsewhere(f), NOW, &t);
		if (s == f->status)
			continue;
		print_error("%s: %s, not %s\n", f->what, verdict(s), verdict(f->status));
		failed++;
	}
	assert_int_equal(failed, 0);
	tokens_free(ts);
}

/* Both checks must agree on all of them. */
static void libjwt_refuses_the_same_forgeries(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\nk2 " K2 "\n");
	for (size_t i = 0; i < COUNT_OF(forgeries); i++) {
		struct token t;
		struct str jwt = forged(&forgeries[i]);
		enum status fast = token_check(ts, &arena, jwt, NOW, &t);
		enum status slow = token_check_libjwt(ts, &arena, jwt, NOW, &t);
		expect(fast == slow, "%s: %s, by libjwt %s", forgeries[i].what, verdict(fast), verdict(slow));
	}
	tokens_free(ts);
}

static void other_hashes_are_refused(void **state)
{
	(void)state;
	const struct {
		const char *what, *header;
		const EVP_MD *md;
	} rows[] = {
		{ "HS512, and it says so", "{\"typ\":\"JWT\",\"alg\":\"HS512\",\"kid\":\"k1\"}", EVP_sha512() },
		{ "HS384, and it says so", "{\"typ\":\"JWT\",\"alg\":\"HS384\",\"kid\":\"k1\"}", EVP_sha384() },
		{ "HS512 under our header", HEADER, EVP_sha512() },
		{ "HS384 under our header", HEADER, EVP_sha384() },
	};
	struct tokens *ts = good("k1 " K1 "\n");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct token t;
		struct str jwt = forge_token(&arena, rows[i].md, key1, str_of(rows[i].header), (struct str)BYTES(PAYLOAD("")));
		expect(token_check(ts, &arena, jwt, NOW, &t) == STATUS_BAD_TOKEN, "%s", rows[i].what);
	}
	tokens_free(ts);
}

/* HMAC pads short keys with zeros, so a padded key gives the same signature: no weakness, but worth knowing. */
static void a_key_padded_with_zeros_is_the_same_key(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\n");
	struct token t;
	struct str payload = BYTES(PAYLOAD("")), header = BYTES(HEADER);
	struct str padded = { padded_key.p, 64 };
	assert_int_equal(token_check(ts, &arena, forge_token(&arena, EVP_sha256(), padded, header, payload), NOW, &t), STATUS_OK);
	tokens_free(ts);
}

static void unsigned_and_oversized_tokens_are_refused(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\n");
	struct token t;
	struct str header = BYTES("{\"alg\":\"none\",\"kid\":\"k1\"}"), payload = BYTES(PAYLOAD(""));
	const char *h = forge_base64(&arena, header).p, *p = forge_base64(&arena, payload).p;
	char *huge = arena_alloc(&arena, 8193);
	memset(huge, 'A', 8192);
	const struct str rows[] = {
		str_of(arena_printf(&arena, "%s.%s.", h, p)), str_of(arena_printf(&arena, "%s.%s", h, p)),
		str_of(arena_printf(&arena, "..%s", p)),      str_of(arena_printf(&arena, "%s..", h)),
		str_of(arena_printf(&arena, ".%s.", p)),      str_of(arena_printf(&arena, "%s.%s.AAAA.AAAA", h, p)),
		STR("...................."),		      STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
		{ huge, 8192 },				      str_of(arena_printf(&arena, "%s.%s.%s", h, p, huge)),
		str_of(arena_printf(&arena, "%s.%s.%s", huge, p, h)),
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		expect(token_check(ts, &arena, rows[i], NOW, &t) == STATUS_BAD_TOKEN, "row %zu", i);
		expect(token_check_libjwt(ts, &arena, rows[i], NOW, &t) == STATUS_BAD_TOKEN, "row %zu, by libjwt", i);
	}
	tokens_free(ts);
}

/* A signature's last character has unused bits; only one spelling of them may pass. */
static void a_signature_has_one_spelling(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\n");
	struct token t;
	struct str jwt = forged(&forgeries[0]);
	int accepted = 0;
	for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; *c; c++) {
		char *other = arena_strndup(&arena, jwt.p, jwt.n);
		other[jwt.n - 1] = *c;
		accepted += token_check(ts, &arena, (struct str){ other, jwt.n }, NOW, &t) == STATUS_OK;
	}
	assert_int_equal(accepted, 1);
	tokens_free(ts);
}

/* The fast check and libjwt's, on thousands of tokens that are nearly valid */

static struct str mutated(struct str jwt)
{
	static const char bytes[] = "ABab01-_.=+/ \0\n\xff";
	char *text = arena_alloc(&arena, jwt.n + 8);
	size_t n = jwt.n;
	memcpy(text, jwt.p, n);
	for (int k = rand() % 3; k >= 0; k--) {
		size_t at = (size_t)rand() % n;
		switch (rand() % 4) {
		case 0: /* another byte */
			text[at] = bytes[(size_t)rand() % (sizeof bytes - 1)];
			break;
		case 1: /* a byte less */
			memmove(text + at, text + at + 1, --n - at);
			break;
		case 2: /* a byte more */
			memmove(text + at + 1, text + at, n++ - at);
			text[at] = bytes[(size_t)rand() % (sizeof bytes - 1)];
			break;
		default: /* two bytes swapped */
			if (at + 1 < n) {
				char c = text[at];
				text[at] = text[at + 1];
				text[at + 1] = c;
			}
		}
	}
	return (struct str){ text, n };
}

static void compare(struct tokens *ts, struct str jwt)
{
	struct token fast = { 0 }, slow = { 0 };
	enum status a = token_check(ts, &arena, jwt, NOW, &fast), b = token_check_libjwt(ts, &arena, jwt, NOW, &slow);
	expect(a == b, "%.*s: %s, by libjwt %s", (int)jwt.n, jwt.p, verdict(a), verdict(b));
	if (a == STATUS_OK)
		assert_true(fast.user == slow.user && fast.id == slow.id && fast.kind == slow.kind &&
			    fast.expires_s == slow.expires_s && str_eq(fast.name, slow.name));
}

static void broken_tokens_are_judged_as_libjwt_judges_them(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\nk2 " K2 "\n");
	unsigned seed = 3;
	print_message("# seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 4000; round++) {
		compare(ts, mutated(forged(&forgeries[round % 8]))); /* good ones and nearly good ones */
		if (round % 500 == 0)
			arena_reset(&arena);
	}
	tokens_free(ts);
}

/* As above, but signed after the mutation, so the signature is right. */
static void odd_tokens_with_good_signatures_too(void **state)
{
	(void)state;
	struct tokens *ts = good("k1 " K1 "\nk2 " K2 "\n");
	unsigned seed = 4;
	print_message("# seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 4000; round++) {
		struct str header = BYTES(HEADER), payload = BYTES(PAYLOAD(""));
		if (round % 4 == 0)
			header = mutated(header);
		else
			payload = mutated(round % 4 == 1 ? payload : forgeries[4].payload);
		compare(ts, forge_token(&arena, EVP_sha256(), round % 3 ? key1 : key2, header, payload));
		if (round % 500 == 0)
			arena_reset(&arena);
	}
	tokens_free(ts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_issued_token_is_accepted),
		cmocka_unit_test(a_token_is_accepted_until_half_a_minute_after_exp),
		cmocka_unit_test(a_token_is_accepted_with_any_token_ttl_s),
		cmocka_unit_test(the_authorization_value_has_two_forms),
		cmocka_unit_test(a_logged_out_token_is_refused),
		cmocka_unit_test(keys_rotate),
		cmocka_unit_test(a_key_file_must_be_right),
		cmocka_unit_test(a_key_file_that_is_missing_is_named),
		cmocka_unit_test(four_long_keys_are_fine),
		cmocka_unit_test(forgeries_have_our_header),
		cmocka_unit_test(forgeries_are_refused),
		cmocka_unit_test(libjwt_refuses_the_same_forgeries),
		cmocka_unit_test(other_hashes_are_refused),
		cmocka_unit_test(a_key_padded_with_zeros_is_the_same_key),
		cmocka_unit_test(unsigned_and_oversized_tokens_are_refused),
		cmocka_unit_test(a_signature_has_one_spelling),
		cmocka_unit_test(broken_tokens_are_judged_as_libjwt_judges_them),
		cmocka_unit_test(odd_tokens_with_good_signatures_too),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, start, stop);
}
