/* The small parts under everything else: arena, buf, table, siphash, entity tags, lookups, statuses. */
#include "unit/unit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/etag.h"
#include "base/lookup.h"
#include "base/siphash.h"
#include "base/table.h"
#include "sale/status.h"

/* Arena */

static char trace[16];
static char letters[][2] = { "a", "b", "c", "d" };

static void note(void *letter)
{
	strcat(trace, letter);
}

static void cleanups_run_newest_first_and_once(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a);
	trace[0] = '\0';
	arena_defer(&a, note, letters[0]);
	arena_alloc(&a, 100000); /* a block of its own in between */
	arena_defer(&a, note, letters[1]);
	arena_defer(&a, note, letters[2]);
	arena_reset(&a);
	assert_string_equal(trace, "cba");
	arena_defer(&a, note, letters[3]);
	arena_release(&a);
	assert_string_equal(trace, "cbad");
	arena_release(&a);
	assert_string_equal(trace, "cbad");
}

/* A cleanup may read memory of the arena: it is freed afterwards. */
static void read_text(void *text)
{
	note(text);
}

static void memory_outlives_the_cleanups(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a);
	trace[0] = '\0';
	arena_defer(&a, read_text, arena_strndup(&a, "xyz", 2));
	arena_reset(&a);
	assert_string_equal(trace, "xy");
	arena_release(&a);
}

static void memory_is_zeroed_and_aligned(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 3, 17, 0, 4000, 8192, 8193, 100000, 2, 5000, 5000 };
	struct arena a;
	arena_init(&a);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			unsigned char *p = arena_alloc(&a, sizes[i]);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(p[k], 0);
			memset(p, 0xee, sizes[i]);
		}
		arena_reset(&a);
	}
	arena_release(&a);
}

static void texts_are_copied(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a);
	char source[] = "abc";
	char *copy = arena_strndup(&a, source, 2), *empty = arena_strndup(&a, NULL, 0);
	struct str slice = arena_str(&a, (struct str){ source, 3 });
	source[0] = 'x';
	assert_string_equal(copy, "ab");
	assert_string_equal(empty, "");
	assert_string_equal(slice.p, "abc");
	assert_int_equal(slice.n, 3);
	assert_string_equal(arena_printf(&a, "%d-%s", 7, copy), "7-ab");
	char *wide = arena_printf(&a, "%9000d|", 1);
	assert_int_equal(strlen(wide), 9001);
	arena_release(&a);
}

/* Buf */

static void a_buf_grows(void **state)
{
	(void)state;
	struct arena a;
	struct buf b;
	arena_init(&a);
	buf_init(&b, &a);
	assert_int_equal(buf_str(&b).n, 0);
	assert_non_null(buf_str(&b).p);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%03d,", i);
	buf_put(&b, STR(""));
	assert_int_equal(b.n, 4000);
	assert_int_equal(strlen(b.p), 4000);
	assert_memory_equal(b.p, "000,001,", 8);
	assert_memory_equal(b.p + 3992, "998,999,", 8);
	/* texts that end exactly at the capacity and one above */
	for (size_t n = 500; n < 520; n++) {
		buf_init(&b, &a);
		buf_printf(&b, "%*d", (int)n, 7);
		assert_int_equal(strlen(b.p), n);
		buf_puts(&b, "x");
		assert_int_equal(strlen(b.p), n + 1);
	}
	arena_release(&a);
}

static void integers_to_the_last(void **state)
{
	(void)state;
	static const int64_t rows[] = { 0, 1, -1, 10, 999999999999999999, INT64_MAX, INT64_MIN };
	struct arena a;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf b;
		char wanted[32];
		buf_init(&b, &a);
		buf_int(&b, rows[i]);
		snprintf(wanted, sizeof wanted, "%lld", (long long)rows[i]);
		assert_string_equal(b.p, wanted);
	}
	arena_release(&a);
}

static void strings_are_escaped_for_json(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		const char *quoted;
	} rows[] = {
		{ BYTES(""), "\"\"" },
		{ BYTES("plain / text"), "\"plain / text\"" },
		{ BYTES("\"\\"), "\"\\\"\\\\\"" },
		{ BYTES("\n\r\t\b"), "\"\\u000a\\u000d\\u0009\\u0008\"" },
		{ BYTES("a\0b"), "\"a\\u0000b\"" },
		{ BYTES("\x1f\x7f"), "\"\\u001f\\u007f\"" },
		{ BYTES("\xe4\xbd\xa0"), "\"\xe4\xbd\xa0\"" },
		{ BYTES("</script>"), "\"</script>\"" },
	};
	struct arena a;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf b;
		buf_init(&b, &a);
		json_str(&b, NULL, rows[i].text);
		assert_string_equal(b.p, rows[i].quoted);
	}
	arena_release(&a);
}

static void json_commas_come_by_themselves(void **state)
{
	(void)state;
	struct arena a;
	struct buf b;
	arena_init(&a);
	buf_init(&b, &a);
	json_begin(&b, NULL, '{');
	json_str(&b, "ends in a bracket", STR("["));
	json_int(&b, "n", -5);
	json_begin(&b, "list", '[');
	json_int(&b, NULL, 1);
	json_bool(&b, NULL, true);
	json_begin(&b, NULL, '{');
	json_end(&b, '}');
	json_begin(&b, NULL, '[');
	json_end(&b, ']');
	json_end(&b, ']');
	json_time(&b, "at", 1767225600001);
	json_time(&b, "never", 0);
	json_bool(&b, "no \"", false);
	json_end(&b, '}');
	assert_string_equal(b.p, "{\"ends in a bracket\":\"[\",\"n\":-5,\"list\":[1,true,{},[]],"
				 "\"at\":\"2026-01-01T00:00:00.001Z\",\"never\":null,\"no \\\"\":false}");
	arena_release(&a);
}

static void pieces_of_a_path_are_percent_encoded(void **state)
{
	(void)state;
	struct arena a;
	struct buf b;
	arena_init(&a);
	buf_init(&b, &a);
	buf_percent(&b, (struct str)BYTES("aZ09-._~ /?#%&+\r\n\0\xe4\xbd\xa0"));
	assert_string_equal(b.p, "aZ09-._~%20%2F%3F%23%25%26%2B%0D%0A%00%E4%BD%A0");
	arena_release(&a);
}

/* Table */

struct item {
	struct table_node node;
	int key;
	bool in;
};

enum { ITEMS = 500, HASHES = 97 }; /* fewer hashes than items: chains */

static struct item items[ITEMS];

static bool contains(const struct table *t, const struct item *wanted)
{
	struct table_node *n = table_find(t, (uint64_t)wanted->key % HASHES);
	while (n && n != &wanted->node)
		n = table_next(n);
	return n;
}

static void check_table(const struct table *t)
{
	size_t count = 0;
	for (int i = 0; i < ITEMS; i++) {
		count += items[i].in;
		expect(contains(t, &items[i]) == items[i].in, "item %d", i);
	}
	assert_int_equal(t->count, count);
}

static int drop_odd(struct table_node *n, void *dropped)
{
	struct item *i = (struct item *)n;
	if (i->key % 2 == 0)
		return 0;
	i->in = false;
	++*(int *)dropped;
	return 1;
}

static void forget(struct table_node *n)
{
	((struct item *)n)->in = false;
}

static void a_table_behaves_like_a_set(void **state)
{
	(void)state;
	struct table t = { 0 };
	int dropped = 0;
	assert_null(table_find(&t, 1));
	srand(1);
	for (int i = 0; i < ITEMS; i++)
		items[i] = (struct item){ .key = i };
	for (int step = 0; step < 5000; step++) {
		struct item *i = &items[rand() % ITEMS];
		if (i->in)
			table_remove(&t, &i->node);
		else
			table_put(&t, &i->node, (uint64_t)i->key % HASHES);
		i->in = !i->in;
		if (step % 500 == 0)
			check_table(&t);
	}
	check_table(&t);
	table_sweep(&t, drop_odd, &dropped);
	assert_true(dropped > 0);
	check_table(&t);
	table_clear(&t, forget);
	check_table(&t);
	assert_null(table_find(&t, 1));
}

/* SipHash-2-4: the test vectors of the reference implementation, for key 00..0f and inputs 00.. of 0 to 63 bytes. */

static const uint64_t vectors[64] = {
	0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
	0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
	0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
	0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
	0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
	0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
	0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
	0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
	0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
	0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
	0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
	0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
	0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
	0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
	0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
	0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

static void siphash_gives_the_reference_values(void **state)
{
	(void)state;
	uint8_t key[SIPHASH_KEY], data[65];
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	for (size_t n = 0; n < 64; n++) {
		for (size_t i = 0; i < n; i++)
			data[1 + i] = (uint8_t)i;
		expect(siphash(key, data + 1, n) == vectors[n], "%zu bytes", n); /* + 1: at an odd address */
	}
}

/* Lookups */

/* Without a name server: loopback's name is in a file, and the other one is too long for any. */
static void a_host_is_looked_up_by_another_thread(void **state)
{
	(void)state;
	char long_name[400];
	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	const char *hosts[] = { "localhost", long_name };
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		struct pollfd p = { .fd = lookup_start(hosts[i]), .events = POLLIN };
		assert_true(p.fd >= 0);
		assert_int_equal(poll(&p, 1, 20000), 1);
		struct lookup found = lookup_end(p.fd);
		close(p.fd);
		expect(i ? found.problem != NULL : lookup_is_address(found.address), "%.20s: %s", hosts[i],
		       found.problem ? found.problem : found.address);
	}
	close(lookup_start("localhost")); /* its result is not read */
	assert_true(lookup_is_address("127.0.0.1") && lookup_is_address("::1") && !lookup_is_address("localhost"));
}

/* Entity tags */

static void an_if_match_names_entity_tags(void **state)
{
	(void)state;
	static const struct {
		struct str list;
		bool is_valid, has;
	} rows[] = {
		{ STR("\"1-10-0\""), true, true },
		{ STR("*"), true, true },
		{ STR(" * \t"), true, true },
		{ STR("\"x\", \"1-10-0\""), true, true },
		{ STR("\"x\",\"1-10-0\"\t,, W/\"y\""), true, true },
		{ STR(", \"1-10-0\" ,"), true, true },
		{ STR("\"x\""), true, false },
		{ STR("\"\""), true, false },
		{ STR("\"a,b\", \"\xc3\xa9\""), true, false },
		{ STR("W/\"1-10-0\""), true, false }, /* strong comparison */
		{ STR(""), false, false },
		{ STR(" , "), false, false },
		{ STR("1-10-0"), false, false },
		{ STR("\"1-10-0"), false, false },
		{ STR("\"1-10-0\" \"x\""), false, false },
		{ STR("\"1-10-0\"x"), false, false },
		{ STR("\"1-10-0\", x"), false, false },
		{ STR("\"1-10-0\", *"), false, false },
		{ STR("w/\"1-10-0\""), false, false },
		{ STR("W/"), false, false },
		{ STR("\"a b\""), false, false },
		{ STR("**"), false, false },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		expect(etag_list_is_valid(rows[i].list) == rows[i].is_valid, "row %zu", i);
		expect(etag_list_has(rows[i].list, STR("\"1-10-0\"")) == rows[i].has, "row %zu", i);
	}
}

/* Statuses */

static bool is_word(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz-") == strlen(s);
}

static void every_status_has_a_code_of_its_own(void **state)
{
	(void)state;
	for (int s = 0; s < STATUS_COUNT; s++) {
		expect(is_word(status_code(s)), "status %d: '%s'", s, status_code(s));
		for (int other = 0; other < s; other++)
			expect(strcmp(status_code(s), status_code(other)) != 0, "'%s' twice", status_code(s));
	}
}

static void every_error_tells_a_person_what_happened(void **state)
{
	(void)state;
	for (int s = 0; s < STATUS_COUNT; s++) {
		int http = status_http(s);
		bool internal = s == STATUS_PENDING || s == STATUS_ELSEWHERE || s == STATUS_ALREADY_CANCELLED ||
				s == STATUS_REPEATED;
		expect(internal ? http == 0 : http >= 200 && http < 600, "%s", status_code(s));
		expect(http < 400 || strlen(status_text(s)) > 5, "%s", status_code(s));
	}
}

UNIT_MAIN(cmocka_unit_test(cleanups_run_newest_first_and_once), cmocka_unit_test(memory_outlives_the_cleanups),
	  cmocka_unit_test(memory_is_zeroed_and_aligned), cmocka_unit_test(texts_are_copied),
	  cmocka_unit_test(a_buf_grows), cmocka_unit_test(integers_to_the_last),
	  cmocka_unit_test(strings_are_escaped_for_json), cmocka_unit_test(json_commas_come_by_themselves),
	  cmocka_unit_test(pieces_of_a_path_are_percent_encoded), cmocka_unit_test(a_table_behaves_like_a_set),
	  cmocka_unit_test(siphash_gives_the_reference_values), cmocka_unit_test(a_host_is_looked_up_by_another_thread),
	  cmocka_unit_test(an_if_match_names_entity_tags), cmocka_unit_test(every_status_has_a_code_of_its_own),
	  cmocka_unit_test(every_error_tells_a_person_what_happened))
