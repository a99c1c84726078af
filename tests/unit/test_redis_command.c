/* Commands as bytes, compared with hiredis's formatter and the C library's numbers. */
#include "unit/unit.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "sale/key.h"

static void a_command_is_what_hiredis_would_write(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct str words[4];
		int count;
	} rows[] = {
		{ "one word", { BYTES("PING") }, 1 },
		{ "an empty word", { BYTES("SET"), BYTES("k"), BYTES("") }, 3 },
		{ "line ends and NUL", { BYTES("SET"), BYTES("k"), BYTES("a\r\n$1\r\n\0") }, 3 },
		{ "9 and 10 bytes", { BYTES("SET"), BYTES("123456789"), BYTES("1234567890"), BYTES("\xff") }, 4 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct redis_command c;
		const char *argv[4];
		size_t sizes[4];
		char *reference;
		redis_command(&c, rows[i].words[0].p);
		for (int k = 0; k < rows[i].count; k++) {
			argv[k] = rows[i].words[k].p;
			sizes[k] = rows[i].words[k].n;
			if (k)
				redis_put(&c, rows[i].words[k]);
		}
		int n = (int)redisFormatCommandArgv(&reference, rows[i].count, argv, sizes);
		assert_int_equal(c.argc, rows[i].count);
		expect(n == (int)c.used + 4 && memcmp(reference + 4, c.text, c.used) == 0, "%s",
		       rows[i].what); /* *N\r\n */
		redisFreeCommand(reference);
	}
}

static void as_much_as_was_promised(void **state)
{
	(void)state;
	struct redis_command c;
	char large[4096 - 8 * 46];
	memset(large, 'x', sizeof large);
	redis_command(&c, "12345678");
	for (int i = 0; i < 46; i++)
		redis_put_text(&c, "12345678");
	redis_put(&c, (struct str){ large, sizeof large - 8 });
	assert_int_equal(c.argc, REDIS_WORDS);
}

static void the_first_key_decides(void **state)
{
	(void)state;
	static const struct redis_script script = { "name", "return 1", "0123456789012345678901234567890123456789" };
	struct redis_command c;
	redis_script(&c, &script, 2);
	assert_null(c.key.p);
	redis_put_key(&c, STR("one"));
	redis_put_key(&c, STR("another"));
	redis_put(&c, STR("argument"));
	assert_true(str_eq(c.key, STR("one")) && c.script == &script && c.argc == 6);
	redis_command(&c, "PING");
	assert_true(!c.key.p && !c.script && c.argc == 1 && c.server == -1);
}

/* Common words: the keys, then others. A call has its own words, and the first key decides for it, too. */
static void calls_have_words_in_common(void **state)
{
	(void)state;
	static const struct redis_script script = { "name", "return 1", "0123456789012345678901234567890123456789" };
	struct redis_command c;
	redis_batch(&c, &script);
	redis_put_key(&c, STR("one"));
	redis_put_key(&c, STR("another"));
	redis_put_incarnation(&c, STR("7"));
	struct redis_common *common = redis_common_new(&c);
	struct str keys = STR("$3\r\none\r\n$7\r\nanother\r\n"),
		   all = STR("$3\r\none\r\n$7\r\nanother\r\n$18\r\n7@0000000000000000\r\n");
	assert_true(common->keys == 2 && common->words == 3 && str_eq(common->key, STR("one")));
	assert_true(str_eq((struct str){ common->text, common->keys_end }, keys));
	assert_true(str_eq((struct str){ common->text, common->length }, all));
	assert_memory_equal(common->text + common->incarnation_at - 2, "7@0000", 6);
	redis_batch_call(&c, common);
	redis_put_text(&c, "mine");
	assert_true(c.common == common && c.script == &script && c.argc == 1 && str_eq(c.key, STR("one")));
	assert_true(str_eq((struct str){ c.text, c.used }, STR("$4\r\nmine\r\n")));
	redis_command(&c, "PING");
	assert_true(!c.common && !c.keys);
	redis_common_drop(common);
}

static void a_common_word_may_be_too_long(void **state)
{
	(void)state;
	static const struct redis_script script = { "name", "return 1", "0123456789012345678901234567890123456789" };
	static char large[REDIS_TEXT_MAX + 1];
	struct redis_command c;
	memset(large, 'x', sizeof large);
	redis_batch(&c, &script);
	redis_put(&c, (struct str){ large, sizeof large });
	struct redis_common *common = redis_common_new(&c);
	redis_batch_call(&c, common);
	assert_true(c.overlong && !c.key.p);
	redis_common_drop(common);
}

/* The incarnation is written at c.incarnation_at, over zeros, at the end of the word. */
static void a_fence_leaves_room_for_the_run(void **state)
{
	(void)state;
	struct redis_command c;
	redis_command(&c, "HSET");
	assert_int_equal(c.incarnation_at, 0);
	redis_put_incarnation(&c, STR("7"));
	redis_put_text(&c, "more");
	struct str word = STR("$18\r\n7@0000000000000000\r\n");
	const char *at = c.text + sizeof "$4\r\nHSET\r\n" - 1;
	assert_memory_equal(at, word.p, word.n);
	assert_ptr_equal(c.text + c.incarnation_at, at + sizeof "$18\r\n7@" - 1);
	redis_put_incarnation(&c, STR("9223372036854775807"));
	assert_memory_equal(c.text + c.incarnation_at, "0000000000000000\r\n", REDIS_INCARNATION + 2);
}

static const int64_t numbers[] = { 0, 1, -1, 9, 10, 99, 100, 1234567890, -1234567890, INT64_MAX, INT64_MIN };

static void numbers_are_written_as_the_c_library_writes_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		char text[BUF_DIGITS], reference[32];
		int n = snprintf(reference, sizeof reference, "%lld", (long long)numbers[i]);
		assert_true(str_eq((struct str){ text, buf_digits(text, numbers[i]) },
				   (struct str){ reference, (size_t)n }));
	}
}

/* Data in Redis has these names: they must never change. */
static void keys_have_their_names(void **state)
{
	(void)state;
	static const struct {
		enum key key;
		const char *text;
	} rows[] = {
		{ KEY_HUB, "sk:{7:h}:hub" },   { KEY_DESCRIPTOR, "sk:{7:h}:d" }, { KEY_SEGMENT, "sk:{7:12}:s" },
		{ KEY_OWNERS, "sk:{7:12}:o" }, { KEY_ORDERS, "sk:{7:12}:q" },    { KEY_LEASE, "sk:{7:h}:l" },
		{ KEY_CATALOG, "sk:n:{7}" },   { KEY_SELLER_INDEX, "sk:w:{7}" },    { KEY_CUSTOMER, "sk:u:{7}" },
		{ KEY_SELLER, "sk:s:{7}" },    { KEY_DIRTY, "sk:dirty" },        { KEY_SUSPECTS, "sk:doubt" },
		{ KEY_QUARANTINED, "sk:closed" },   { KEY_REVOKED, "sk:revoked" },    { KEY_FAILURES, "sk:f:{7}:12" },
		{ KEY_LAYOUT, "sk:layout" },   { KEY_LOST, "sk:lost" },
		{ KEY_WAITING, "sk:{7:h}:w" }, { KEY_JOURNAL, "sk:{7:h}:j" },    { KEY_WAITED, "sk:waited" },
	};
	assert_int_equal(COUNT_OF(rows), KEYS_COUNT);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[KEY_TEXT];
		assert_true(str_eq(key_text(text, rows[i].key, 7, 12), str_of(rows[i].text)));
		assert_true(key_text(text, rows[i].key, INT64_MIN, INT64_MIN).n < KEY_TEXT);
		assert_int_equal(strlen(text), key_text(text, rows[i].key, INT64_MIN, INT64_MIN).n);
	}
}

UNIT_MAIN(cmocka_unit_test(a_command_is_what_hiredis_would_write), cmocka_unit_test(as_much_as_was_promised),
	  cmocka_unit_test(the_first_key_decides), cmocka_unit_test(calls_have_words_in_common), cmocka_unit_test(a_common_word_may_be_too_long),
	  cmocka_unit_test(a_fence_leaves_room_for_the_run),
	  cmocka_unit_test(numbers_are_written_as_the_c_library_writes_them), cmocka_unit_test(keys_have_their_names))
