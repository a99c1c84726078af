/*
 * Logouts, on a Redis that is a queue of commands and a MySQL that is a table
 * here: how readers go on, what a logout answers, and what the drainers copy.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "account/revocation.h"
#include "account/revocation_sync.h"
#include "unit/fake_redis.h"

/* What workers know */

enum { MANY = 3000 };
static uint64_t known[MANY];
static int knows;

void tokens_revoke(struct tokens *ts, uint64_t id, int64_t expires_s)
{
	(void)ts;
	(void)expires_s;
	assert_true(knows < MANY);
	known[knows++] = id;
}

/* MySQL: rows in the order of their keys */

static struct revocation rows[MANY];
static int row_count, inserted, statements;
static enum db_failure failure;

static void insert_row(uint64_t id, int64_t expires_s)
{
	int i = row_count;
	while (i && rows[i - 1].id > id)
		i--;
	if (i && rows[i - 1].id == id)
		return;
	memmove(rows + i + 1, rows + i, (size_t)(row_count - i) * sizeof *rows);
	rows[i] = (struct revocation){ id, expires_s };
	row_count++;
	inserted++;
}

static void select_rows(struct arena *a, const struct db_value *params, struct db_rows *to)
{
	uint64_t after = revocation_read_id(params[0].text);
	*to = (struct db_rows){ .columns = 2 };
	struct db_value *values = arena_alloc(a, (size_t)(2 * params[2].number + 1) * sizeof *values);
	to->values = values;
	for (int i = 0; i < row_count && to->count < params[2].number; i++)
		if (rows[i].id > after && rows[i].expires_s > params[1].number) {
			struct revoked_id id = revocation_id(rows[i].id);
			struct str bytes = { arena_strndup(a, id.bytes, sizeof id.bytes), sizeof id.bytes };
			values[2 * to->count] = DB_S(bytes);
			values[2 * to->count++ + 1] = DB_N(rows[i].expires_s);
		}
}

static void delete_rows(int64_t before)
{
	int kept = 0;
	for (int i = 0; i < row_count; i++)
		if (rows[i].expires_s >= before)
			rows[kept++] = rows[i];
	row_count = kept;
}

int db_run(struct db *db, const struct db_statement *st)
{
	(void)db;
	statements++;
	if (failure)
		return -1;
	if (*st->sql == 'S')
		select_rows(st->arena, st->params, st->rows);
	else if (*st->sql == 'D')
		delete_rows(st->params[0].number);
	for (int i = 0; *st->sql == 'I' && i < st->count; i += 2)
		insert_row(revocation_read_id(st->params[i].text), st->params[i + 1].number);
	return 0;
}

enum db_failure db_failure(const struct db *db)
{
	(void)db;
	return failure;
}

const char *db_error(const struct db *db)
{
	(void)db;
	return "as planned";
}

/* Redis: a set in its order, and what it was asked */

static struct revocation set[MANY];
static int64_t scores[MANY];
static int set_count, room, calls;
static const char *ends; /* NULL: it answers */
static char asked[64];

static void read_page(int64_t from, bool beyond, size_t limit)
{
	static char texts[2 * MANY][48];
	static struct str page[2 * MANY];
	size_t n = 0;
	for (int i = 0; i < set_count && n < 2 * limit; i++) {
		if (scores[i] < from || (beyond && scores[i] == from))
			continue;
		snprintf(texts[n], sizeof texts[n], "%016llx:%lld", (unsigned long long)set[i].id, (long long)set[i].expires_s);
		snprintf(texts[n + 1], sizeof texts[n + 1], "%lld", (long long)scores[i]);
		for (int k = 0; k < 2; k++, n++)
			page[n] = str_of(texts[n]);
	}
	fake_redis_answer_texts(page, n);
}

static int enter(const char *tokens)
{
	int refused = 0;
	struct revocation r;
	char word[48];
	for (int n; sscanf(tokens, " %47s%n", word, &n) == 1; tokens += n) {
		bool there = false;
		assert_true(revocation_read_entry(str_of(word), &r));
		for (int i = 0; i < set_count; i++)
			there |= set[i].id == r.id;
		if (there)
			continue;
		if (set_count >= room) {
			refused++;
			continue;
		}
		scores[set_count] = set_count ? scores[set_count - 1] + 1 : 1000;
		set[set_count++] = r;
	}
	return refused;
}

static void serve(void)
{
	const char *command = fake_redis_oldest();
	long long from, limit;
	char reply[24];
	int n = 0;
	calls++;
	snprintf(asked, sizeof asked, "%s", command);
	if (ends) {
		fake_redis_answer(ends);
	} else if (sscanf(command, "ZRANGEBYSCORE sk:revoked %lld +inf WITHSCORES LIMIT 0 %lld", &from, &limit) == 2) {
		read_page(from, false, (size_t)limit);
	} else if (sscanf(command, "ZRANGEBYSCORE sk:revoked (%lld +inf WITHSCORES LIMIT 0 %lld", &from, &limit) == 2) {
		read_page(from, true, (size_t)limit);
	} else {
		assert_true(sscanf(command, "revoke sk:revoked | 1000000 3600%n", &n) == 0 && n);
		snprintf(reply, sizeof reply, "%d", enter(command + n));
		fake_redis_answer(reply);
	}
}

static struct service service;
static int64_t soon, now_ms;

int64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

static int begin(void **state)
{
	(void)state;
	free(service.revocations);
	service = (struct service){ 0 };
	now_ms = 1000;
	knows = row_count = inserted = statements = set_count = calls = 0;
	failure = DB_NONE;
	ends = NULL;
	room = MANY;
	soon = time(NULL) + 1000;
	fake_redis_server = serve;
	return 0;
}

static void log_out(uint64_t first, int count, int64_t score)
{
	for (int i = 0; i < count; i++) {
		set[set_count] = (struct revocation){ first + (uint64_t)i, soon };
		scores[set_count++] = score + i;
	}
}

static void refresh(void)
{
	now_ms += 500;
	knows = calls = 0;
	revocation_refresh(&service);
}

/* Readers */

static void all_pages_are_read_and_then_only_news(void **state)
{
	(void)state;
	log_out(1, 2500, 5000);
	refresh();
	for (uint64_t id = 1; id <= 2500; id++) {
		bool found = false;
		for (int i = 0; i < knows; i++)
			found |= known[i] == id;
		expect(found, "%llu", (unsigned long long)id);
	}
	assert_int_equal(calls, 3);
	log_out(9000, 2, 8000);
	refresh();
	assert_int_equal(calls, 1);
	assert_int_equal(knows, 3); /* the last one of before, and two */
	assert_string_equal(asked, "ZRANGEBYSCORE sk:revoked 7499 +inf WITHSCORES LIMIT 0 1000");
	knows = 0;
	revocation_refresh(&service); /* within half a second */
	assert_int_equal(knows, 0);
}

static void a_reader_begins_anew_where_its_last_entry_is_gone(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int count;
		uint64_t first;
		int64_t score;
	} sets[] = {
		{ "older data", 1, 1, 5000 },	     { "nothing", 0, 0, 0 },	      { "others before it", 2, 77, 100 },
		{ "another at its score", 1, 88, 5002 }, { "others behind it", 3, 99, 9000 }, { "itself, entered again", 1, 3, 7000 },
	};
	for (size_t i = 0; i < COUNT_OF(sets); i++) {
		begin(NULL);
		log_out(1, 3, 5000);
		refresh();
		set_count = 0;
		log_out(sets[i].first, sets[i].count, sets[i].score);
		refresh();
		expect(calls == 2 && knows == sets[i].count, "%s: %d calls, %d entries", sets[i].what, calls, knows);
		refresh();
		expect(calls == 1, "%s, again: %d calls", sets[i].what, calls);
	}
}

static void without_an_answer_a_reader_stays_where_it_is(void **state)
{
	(void)state;
	log_out(1, 3, 5000);
	refresh();
	ends = "!unknown";
	refresh();
	assert_int_equal(calls, 1);
	ends = NULL;
	log_out(4, 1, 6000);
	knows = 0;
	revocation_refresh(&service); /* it asks again at once */
	assert_int_equal(knows, 2);
}

static void what_is_no_entry_is_skipped(void **state)
{
	(void)state;
	static const char *const entries[] = { "", ":", "0123456789abcdef", "0123456789abcdef:", "0123456789abcdef:x",
					       "0123456789abcdef:-1", "0123456789abcde:1", "0123456789abcdeg:1",
					       "0123456789abcdef0:1", "0123456789abcdef:18446744073709551616",
					       "0123456789abcdef:000000000000000000000000000000001" };
	struct revocation r;
	for (size_t i = 0; i < COUNT_OF(entries); i++)
		expect(!revocation_read_entry(str_of(entries[i]), &r), "%s", entries[i]);
	assert_true(revocation_read_entry(STR("0123456789abcdef:1800000000"), &r));
	assert_true(r.id == 0x0123456789abcdef && r.expires_s == 1800000000);
}

static void an_id_is_the_same_bytes_everywhere(void **state)
{
	(void)state;
	struct revoked_id id = revocation_id(0x0123456789abcdef);
	assert_memory_equal(id.bytes, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	assert_true(revocation_read_id((struct str){ id.bytes, 8 }) == 0x0123456789abcdef);
	assert_true(revocation_read_id((struct str){ id.bytes, 7 }) == 0);
}

/* A logout */

static void a_logout_is_done_when_both_have_it(void **state)
{
	(void)state;
	static const struct {
		const char *redis;
		enum db_failure mysql;
		int room;
		enum status status;
		int learnt, inserted;
	} table[] = {
		{ NULL, DB_NONE, 9, STATUS_OK, 1, 1 },
		{ NULL, DB_AWAY, 9, STATUS_UNAVAILABLE, 1, 0 },
		{ NULL, DB_TRANSIENT, 9, STATUS_UNAVAILABLE, 1, 0 },
		{ NULL, DB_BROKEN, 9, STATUS_INTERNAL, 1, 0 },
		{ "!refused", DB_NONE, 9, STATUS_UNAVAILABLE, 0, 1 },
		{ "!unknown", DB_NONE, 9, STATUS_UNAVAILABLE, 0, 1 },
		{ "!broken", DB_NONE, 9, STATUS_UNAVAILABLE, 0, 1 },
		{ "!refused", DB_AWAY, 9, STATUS_UNAVAILABLE, 0, 0 },
		{ NULL, DB_NONE, 0, STATUS_BUSY, 0, 0 },
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		begin(NULL);
		struct token t = { .id = 7, .expires_s = soon };
		ends = table[i].redis;
		failure = table[i].mysql;
		room = table[i].room;
		enum status s = revocation_token(&service, &t);
		expect(s == table[i].status && knows == table[i].learnt && inserted == table[i].inserted,
		       "row %zu: %s, %d, %d", i, status_code(s), knows, inserted);
		ends = NULL;
		failure = DB_NONE;
		room = 9;
		expect(revocation_token(&service, &t) == STATUS_OK && set_count == 1 && row_count == 1, "row %zu, again", i);
	}
}

/* The drainers */

static void both_sides_are_completed(void **state)
{
	(void)state;
	enum { BOTH = 100, EACH = 950 };
	log_out(1, BOTH + EACH, 5000);
	for (uint64_t id = 1; id <= BOTH; id++)
		insert_row(id, soon);
	for (uint64_t id = 10001; id <= 10000 + EACH; id++)
		insert_row(id, soon);
	insert_row(77777, soon - 1000 - REVOKED_KEEP_S - 1); /* has expired, long ago */
	struct revocation_sync *s = revocation_sync_new(&service);
	for (int step = 0; step < 20; step++)
		revocation_sync_step(s);
	assert_int_equal(set_count, BOTH + 2 * EACH);
	assert_int_equal(row_count, BOTH + 2 * EACH);
	int before = statements;
	revocation_sync_step(s);
	assert_int_equal(statements, before); /* the next round is seconds away */
	revocation_sync_free(s);
}

static void a_step_that_failed_is_repeated(void **state)
{
	(void)state;
	for (int broken = 0; broken < 2; broken++) {
		begin(NULL);
		insert_row(5, soon);
		struct revocation_sync *s = revocation_sync_new(&service);
		ends = broken ? "!unknown" : NULL;
		failure = broken ? DB_NONE : DB_AWAY;
		revocation_sync_step(s);
		int tries = statements;
		revocation_sync_step(s); /* not at once */
		expect(set_count == 0 && statements == tries, "broken %d", broken);
		revocation_sync_free(s);
		ends = NULL;
		failure = DB_NONE;
		s = revocation_sync_new(&service);
		revocation_sync_step(s);
		expect(set_count == 1, "mended %d", broken);
		revocation_sync_free(s);
	}
}

static void a_full_set_ends_no_round(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 900; id++)
		insert_row(id, soon);
	room = 500;
	struct revocation_sync *s = revocation_sync_new(&service);
	for (int step = 0; step < 10; step++)
		revocation_sync_step(s);
	assert_int_equal(set_count, 500);
	int before = statements;
	revocation_sync_step(s);
	assert_int_equal(statements, before);
	revocation_sync_free(s);
}

#define CASE(name) cmocka_unit_test_setup(name, begin)
UNIT_MAIN(CASE(all_pages_are_read_and_then_only_news), CASE(a_reader_begins_anew_where_its_last_entry_is_gone),
	  CASE(without_an_answer_a_reader_stays_where_it_is), CASE(what_is_no_entry_is_skipped),
	  CASE(an_id_is_the_same_bytes_everywhere), CASE(a_logout_is_done_when_both_have_it),
	  CASE(both_sides_are_completed), CASE(a_step_that_failed_is_repeated), CASE(a_full_set_ends_no_round))
