/*
 * Tokens. The input is used twice: as an Authorization value; and as a header,
 * up to the first line feed, and a payload, which are signed with our key. Both
 * times token_check must agree with libjwt, and must not accept a header that
 * names critical parameters.
 */
#include "fuzz/fuzz.h"

#include <assert.h>
#include <strings.h>

#include "account/token.h"
#include "base/json.h"
#include "base/parse.h"
#include "unit/forge.h"

enum { NOW = 1800000000 };

static const struct str key = { "0123456789abcdef0123456789abcdef", 32 };
static struct tokens *tokens;

static void start(void)
{
	static struct conf conf;
	static struct arena arena;
	tokens = forge_tokens(&conf, &arena, key);
}

/* With another parser. It does not see a null, nor what it cannot parse. */
static bool has_crit(struct arena *a, struct str jwt)
{
	struct str rest = jwt, header, json, crit;
	bool is_json, present = false;
	const char *problem;
	const struct json_field field = { .name = "crit", .text = &crit, .max = INT64_MAX, .present = &present };
	if (!parse_split(&rest, '.', &header) || !parse_base64url(a, header, &json))
		return false;
	return !json_read(a, json, &field, 1, &is_json, &problem) ? is_json : present;
}

static void compare(struct arena *a, struct str jwt)
{
	struct token fast = { 0 }, slow = { 0 };
	enum status s = token_check(tokens, a, jwt, NOW, &fast);
	assert(s == token_check_libjwt(tokens, a, jwt, NOW, &slow));
	if (s != STATUS_OK)
		return;
	assert(!has_crit(a, jwt));
	assert(fast.user == slow.user && fast.id == slow.id && fast.kind == slow.kind && str_eq(fast.name, slow.name));
	assert(fast.user > 0 && fast.name.n > 0 && fast.expires_s > NOW - 60 && parse_is_utf8(fast.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct token t;
	struct str all = { (const char *)data, size }, header, payload = all;
	if (!tokens)
		start();
	arena_init(&a);
	enum status s = token_check(tokens, &a, all, NOW, &t);
	assert(size ? s != STATUS_NO_TOKEN : s == STATUS_NO_TOKEN);
	if (size && all.p[0] != ' ' &&
	    (size <= 7 || strncasecmp(all.p, "Bearer ", 7) != 0)) /* what is before a token */
		compare(&a, all);
	if (parse_split(&payload, '\n', &header) && payload.p)
		compare(&a, forge_token(&a, EVP_sha256(), key, header, payload));
	arena_release(&a);
	return 0;
}
