/* Passwords: what is stored, what verifies, and what never must. Cost 1, for speed. */
#include "account/password.h"
#include "unit/unit.h"

enum { COST = 1 };

static struct str hash_of(const char *password, char text[PASSWORD_TEXT])
{
	assert_true(password_hash(str_of(password), COST, text));
	return str_of(text);
}

static void a_hash_is_yescrypt_and_salted(void **state)
{
	(void)state;
	char one[PASSWORD_TEXT], two[PASSWORD_TEXT];
	struct str a = hash_of("correct horse", one), b = hash_of("correct horse", two);
	assert_true(str_starts(a, STR("$y$")));
	assert_true(a.n < 200);
	assert_false(str_eq(a, b));
}

static void only_the_same_password_verifies(void **state)
{
	(void)state;
	char text[PASSWORD_TEXT];
	struct str stored = hash_of("correct horse", text);
	assert_true(password_verify(STR("correct horse"), stored, COST));
	assert_false(password_verify(STR("correct horsf"), stored, COST));
	assert_false(password_verify(STR("correct hors"), stored, COST));
	assert_false(password_verify(STR("correct horse "), stored, COST));
	assert_false(password_verify(STR("correct horse\0"), stored, COST));
	assert_false(password_verify(STR(""), stored, COST));
}

static void every_byte_of_a_long_password_counts(void **state)
{
	(void)state;
	char password[PASSWORD_MAX + 1], text[PASSWORD_TEXT];
	memset(password, 'x', sizeof password);
	struct str longest = { password, PASSWORD_MAX };
	assert_true(password_hash(longest, COST, text));
	assert_true(password_verify(longest, str_of(text), COST));
	assert_false(password_verify((struct str){ password, PASSWORD_MAX + 1 }, str_of(text), COST));
	password[PASSWORD_MAX - 1] = 'y';
	assert_false(password_verify(longest, str_of(text), COST));
	assert_false(password_hash((struct str){ password, PASSWORD_MAX + 1 }, COST, text));
}

/* crypt returns "*0" or "*1" when it fails: a stored text must never equal these. */
static void what_is_no_hash_never_verifies(void **state)
{
	(void)state;
	static const char *const stored[] = { "",    PASSWORD_UNUSABLE, "*",      "*0",   "*1", "$",
					      "$y$", "$y$j9T$",         "$z$1$2", "plain" };
	for (size_t i = 0; i < sizeof stored / sizeof stored[0]; i++) {
		assert_false(password_verify(STR("plain"), str_of(stored[i]), COST));
		assert_false(password_verify(str_of(stored[i]), str_of(stored[i]), COST));
	}
}

static void a_damaged_hash_never_verifies(void **state)
{
	(void)state;
	char text[PASSWORD_TEXT];
	struct str stored = hash_of("correct horse", text);
	assert_false(password_verify(STR("correct horse"), (struct str){ text, stored.n - 1 }, COST));
	text[stored.n - 1] ^= 1;
	assert_false(password_verify(STR("correct horse"), stored, COST));
}

static void other_methods_verify_by_their_prefix(void **state)
{
	(void)state;
	/* printf "Hello world!" | openssl passwd -6 -salt saltstring -stdin */
	struct str stored = STR("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI"
				"FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1");
	assert_true(password_verify(STR("Hello world!"), stored, COST));
	assert_false(password_verify(STR("Hello world?"), stored, COST));
	assert_false(password_is_current(stored, COST));
}

static void another_cost_is_not_current(void **state)
{
	(void)state;
	char text[PASSWORD_TEXT];
	struct str stored = hash_of("correct horse", text);
	assert_true(password_is_current(stored, COST));
	assert_false(password_is_current(stored, COST + 1));
	assert_true(password_verify(STR("correct horse"), stored, COST + 1));
}

UNIT_MAIN(cmocka_unit_test(a_hash_is_yescrypt_and_salted),
	  cmocka_unit_test(only_the_same_password_verifies),
	  cmocka_unit_test(every_byte_of_a_long_password_counts),
	  cmocka_unit_test(what_is_no_hash_never_verifies),
	  cmocka_unit_test(a_damaged_hash_never_verifies),
	  cmocka_unit_test(other_methods_verify_by_their_prefix),
	  cmocka_unit_test(another_cost_is_not_current))
