/* Messages of payment providers: which signatures are accepted, and which keys may be in the file. */
#include "unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lifecycle/webhook.h"

/* The published test vector of the Standard Webhooks' libraries. */
#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define SIGNED_AT 1614265330
static const struct webhook vector = { BYTES("msg_p5jXN8AQM9LWM0D4loKWxJek"), BYTES("1614265330"), BYTES(SIGNATURE),
				       BYTES("{\"test\": 2432232314}") };

/* Made with `openssl dgst -sha256 -mac HMAC`: the same message under the key of 32 bytes 0x22. */
#define SECRET_2    "whsec_IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="
#define SIGNATURE_2 "v1,n9NaMB0WBaxDC+yU8m5Iu9XHDeR61e6DHz41hjuQ16Y="

static char path[] = "/tmp/seckill-webhook-XXXXXX";
static struct conf conf;
static struct arena arena;

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
	snprintf(setting, sizeof setting, "payment_key_file=%s", path);
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

static struct webhook_keys *with_keys(const char *text, const char **problem)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return webhook_keys_new(&conf, &arena, problem);
}

static struct webhook_keys *good(const char *text)
{
	const char *problem;
	struct webhook_keys *ks = with_keys(text, &problem);
	expect(ks, "%s", problem);
	return ks;
}

/* What is wrong with the vector's message when these values replace its own; NULL is nothing. */
static const char *problem_of(struct webhook_keys *ks, struct webhook w, int64_t now_s)
{
	return webhook_problem(ks, &w, now_s);
}

static void the_published_vector_is_accepted(void **state)
{
	(void)state;
	struct webhook_keys *ks = good(SECRET "\n");
	assert_true(webhook_has_keys(ks));
	assert_null(problem_of(ks, vector, SIGNED_AT));
	webhook_keys_free(ks);
}

static void a_time_is_at_most_300_s_off(void **state)
{
	(void)state;
	static const struct {
		int64_t off;
		bool good;
	} rows[] = { { 0, true }, { 300, true }, { -300, true }, { 301, false }, { -301, false }, { 86400, false } };
	struct webhook_keys *ks = good(SECRET "\n");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *problem = problem_of(ks, vector, SIGNED_AT + rows[i].off);
		expect(!problem == rows[i].good, "%lld: %s", (long long)rows[i].off, problem);
		expect(rows[i].good || strstr(problem, "webhook-timestamp"), "%s", problem);
	}
	webhook_keys_free(ks);
}

static void any_key_of_the_file_is_accepted(void **state)
{
	(void)state;
	static const struct {
		const char *keys, *signature;
		bool good;
	} rows[] = {
		{ SECRET, SIGNATURE, true },
		{ SECRET, SIGNATURE_2, false },
		{ SECRET_2, SIGNATURE, false },
		{ SECRET_2, SIGNATURE_2, true },
		{ SECRET "\n" SECRET_2, SIGNATURE, true },
		{ SECRET_2 "\n# old\n\n" SECRET "\r\n", SIGNATURE, true },
		{ SECRET, SIGNATURE_2 " " SIGNATURE, true },
		{ SECRET, SIGNATURE " " SIGNATURE_2, true },
		{ SECRET, "v2,AAAA v1a,BBBB  " SIGNATURE, true },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct webhook w = vector;
		struct webhook_keys *ks = good(rows[i].keys);
		w.signature = str_of(rows[i].signature);
		const char *problem = problem_of(ks, w, SIGNED_AT);
		expect(!problem == rows[i].good, "row %zu: %s", i, problem);
		webhook_keys_free(ks);
	}
}

#define ID_128                                                                                                         \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef"

static void a_changed_message_is_refused(void **state)
{
	(void)state;
	static const struct {
		struct webhook w;
		const char *says;
	} rows[] = {
		{ { BYTES(""), BYTES("1614265330"), BYTES(SIGNATURE), BYTES("{\"test\": 2432232314}") }, "webhook-id" },
		{ { BYTES("msg p5"), BYTES("1614265330"), BYTES(SIGNATURE), BYTES("{}") }, "webhook-id" },
		{ { BYTES("msg\n"), BYTES("1614265330"), BYTES(SIGNATURE), BYTES("{}") }, "webhook-id" },
		{ { BYTES(ID_128 "0"), BYTES("1614265330"), BYTES(SIGNATURE), BYTES("{}") }, "webhook-id" },
		{ { BYTES(ID_128), BYTES("1614265330"), BYTES(SIGNATURE), BYTES("{}") }, "webhook-signature" },
		{ { BYTES("msg"), BYTES(""), BYTES(SIGNATURE), BYTES("{}") }, "webhook-timestamp" },
		{ { BYTES("msg"), BYTES("now"), BYTES(SIGNATURE), BYTES("{}") }, "webhook-timestamp" },
		{ { BYTES("msg"), BYTES("-1614265330"), BYTES(SIGNATURE), BYTES("{}") }, "webhook-timestamp" },
		{ { BYTES("msg"), BYTES("99999999999999999999"), BYTES(SIGNATURE), BYTES("{}") }, "webhook-timestamp" },
		{ { BYTES("msg"), BYTES("1614265330"), BYTES(""), BYTES("{}") }, "webhook-signature" },
		{ { BYTES("msg_p5jXN8AQM9LWM0D4loKWxJek"), BYTES("1614265331"), BYTES(SIGNATURE),
		    BYTES("{\"test\": 2432232314}") },
		  "webhook-signature" },
		{ { BYTES("msg_p5jXN8AQM9LWM0D4loKWxJej"), BYTES("1614265330"), BYTES(SIGNATURE),
		    BYTES("{\"test\": 2432232314}") },
		  "webhook-signature" },
		{ { BYTES("msg_p5jXN8AQM9LWM0D4loKWxJek"), BYTES("1614265330"), BYTES(SIGNATURE),
		    BYTES("{\"test\": 2432232315}") },
		  "webhook-signature" },
		{ { BYTES("msg_p5jXN8AQM9LWM0D4loKWxJek"), BYTES("1614265330"), BYTES(SIGNATURE),
		    BYTES("{\"test\": 2432232314}\n") },
		  "webhook-signature" },
	};
	struct webhook_keys *ks = good(SECRET "\n");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *problem = problem_of(ks, rows[i].w, SIGNED_AT);
		expect(problem && strstr(problem, rows[i].says), "row %zu: %s", i, problem);
	}
	webhook_keys_free(ks);
}

static void garbage_is_no_signature(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"v1",
		"v1,",
		"v1,=",
		"g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1O",
		"v1, g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v1,g0hM9SsE-OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=",
		"v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		SIGNATURE "," SIGNATURE,
		SIGNATURE SIGNATURE,
		"  ",
		",",
		"v1,\xff\xfe",
	};
	struct webhook_keys *ks = good(SECRET "\n");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct webhook w = vector;
		w.signature = str_of(rows[i]);
		expect(problem_of(ks, w, SIGNED_AT), "%s", rows[i]);
	}
	webhook_keys_free(ks);
}

#define BYTES_24 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"

static void a_key_that_is_none_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *file, *says;
	} rows[] = {
		{ "# nothing\n\n", "no key" },
		{ "whsec_\n", "line 1" },
		{ "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "line 1" },
		{ "# key\nwhsec_short\n", "line 2" },
		{ "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=\n", "24" },     /* 23 bytes */
		{ "whsec_" BYTES_24 "A\n", "line 1" },                    /* no whole groups */
		{ "whsec_" BYTES_24 "AB==\n", "line 1" },                 /* unused bits */
		{ "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY-\n", "line 1" }, /* base64url */
		{ "whsec_" BYTES_24 " k1\n", "line 1" },
		{ "whsec_" BYTES_24 BYTES_24 BYTES_24 "\n", "64" }, /* 72 bytes */
		{ SECRET "\n" SECRET "\n", "line 2" },
		{ SECRET_2 "\nwhsec_" BYTES_24 "\n" SECRET "\nwhsec_" BYTES_24 "AAAA\nwhsec_" BYTES_24 "BBBB\n",
		  "4 keys" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *problem = NULL;
		struct webhook_keys *ks = with_keys(rows[i].file, &problem);
		expect(!ks && problem && strstr(problem, rows[i].says) && strstr(problem, path), "%s: %s", rows[i].file,
		       problem);
		expect(!strstr(problem, "AAECAw") && !strstr(problem, "MfKQ"), "a secret is told: %s", problem);
	}
}

static void without_a_file_there_are_no_keys(void **state)
{
	(void)state;
	struct conf none;
	const char *problem = NULL;
	conf_init(&none);
	struct webhook_keys *ks = webhook_keys_new(&none, &arena, &problem);
	expect(ks && !webhook_has_keys(ks), "%s", problem);
	assert_non_null(problem_of(ks, vector, SIGNED_AT));
	webhook_keys_free(ks);
	conf_set(&none, "payment_key_file=/nonexistent/keys", "test");
	ks = webhook_keys_new(&none, &arena, &problem);
	expect(!ks && strstr(problem, "/nonexistent/keys"), "%s", problem);
	webhook_keys_free(NULL);
	conf_release(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_vector_is_accepted), cmocka_unit_test(a_time_is_at_most_300_s_off),
		cmocka_unit_test(any_key_of_the_file_is_accepted),  cmocka_unit_test(a_changed_message_is_refused),
		cmocka_unit_test(garbage_is_no_signature),          cmocka_unit_test(a_key_that_is_none_is_named),
		cmocka_unit_test(without_a_file_there_are_no_keys),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, start, stop);
}
