/*
 * Statements and results of MySQL, through src/mysql: the client library is replaced by one that answers what a test
 * sets. Rows, columns and parameters may be missing, too many, or of another kind.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "unit/fake_mysql.h"

static struct conf conf;
static struct db *db;
static struct arena arena;

static int start(void **state)
{
	(void)state;
	memset(&fake_mysql, 0, sizeof fake_mysql);
	fake_mysql.type = MYSQL_TYPE_LONGLONG;
	conf_init(&conf);
	db = db_new(&conf);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	db_free(db);
	assert_int_equal(fake_mysql_open_statements(), 0);
	arena_release(&arena);
	conf_release(&conf);
	return 0;
}

static int ask(struct db_rows *rows)
{
	return db_query(db, &arena, "SELECT a, b FROM t WHERE c = ?", rows, DB_N(1));
}

/* A sound result with so many columns and rows. */
static void answer_with(int columns, int rows)
{
	fake_mysql.params = 1;
	fake_mysql.columns = fake_mysql.described = (unsigned long)columns;
	fake_mysql.rows = fake_mysql.fetched = rows;
}

static void a_result_is_read(void **state)
{
	(void)state;
	struct db_rows rows;
	answer_with(2, 3);
	fake_mysql.number = 7;
	assert_int_equal(ask(&rows), 0);
	assert_int_equal(rows.count, 3);
	assert_int_equal(db_row(&rows, 2)[1].number, 7);
	fake_mysql.type = MYSQL_TYPE_VAR_STRING;
	fake_mysql.length = 100;
	assert_int_equal(ask(&rows), 0);
	assert_int_equal(db_row(&rows, 2)[1].text.n, 100);
}

static void parameters_that_are_counted_otherwise_fail(void **state)
{
	(void)state;
	struct db_rows rows;
	static const unsigned long counts[] = { 0, 2, 65535 };
	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		answer_with(2, 1);
		fake_mysql.params = counts[i];
		db_close(db); /* statements are prepared again */
		expect(ask(&rows) != 0 && db_failure(db) == DB_AWAY, "%lu parameters: %s", counts[i], db_error(db));
		answer_with(2, 1);
		expect(ask(&rows) == 0, "after %lu parameters: %s", counts[i], db_error(db));
	}
}

/* A value that was not sent reads as NULL: 0, and an empty text. */
static void a_row_or_a_column_that_is_missing_is_null(void **state)
{
	(void)state;
	struct db_rows rows;
	for (int columns = 0; columns <= 2; columns++)
		for (int count = 0; count <= 2; count++) {
			answer_with(columns, count);
			expect(ask(&rows) == 0, "%d columns, %d rows: %s", columns, count, db_error(db));
			const struct db_value *v = db_row(&rows, rows.count);
			for (int i = 0; i < DB_COLUMNS; i++)
				expect(v[i].type == DB_NULL && v[i].number == 0 && v[i].text.p && !v[i].text.n,
				       "%d columns, %d rows, column %d", columns, count, i);
		}
}

static void a_statement_that_needs_a_row_fails_without(void **state)
{
	(void)state;
	struct db_rows rows;
	answer_with(2, 0);
	assert_int_not_equal(db_query_row(db, &arena, "SELECT 1 WHERE ?", &rows, DB_N(1)), 0);
	assert_int_equal(db_failure(db), DB_AWAY);
	const char *problem;
	answer_with(4, 0);
	fake_mysql.params = 0;
	assert_int_not_equal(db_check_durable(db, &arena, &problem), 0);
	answer_with(1, 1); /* three are missing */
	fake_mysql.params = 0;
	assert_int_equal(db_check_durable(db, &arena, &problem), 0);
	assert_non_null(problem);
	answer_with(4, 1); /* the last one is not a text */
	fake_mysql.params = 0;
	fake_mysql.number = 1;
	assert_int_equal(db_check_durable(db, &arena, &problem), 0);
	assert_non_null(problem);
}

static void columns_that_were_not_announced_fail(void **state)
{
	(void)state;
	struct db_rows rows;
	static const struct {
		unsigned long columns, described;
	} rows_of[] = { { 2, 1 }, { 1, 2 }, { 1, 0 }, { 200, 200 }, { DB_COLUMNS + 1, DB_COLUMNS + 1 } };
	for (size_t i = 0; i < COUNT_OF(rows_of); i++) {
		answer_with(2, 1);
		fake_mysql.columns = rows_of[i].columns;
		fake_mysql.described = rows_of[i].described;
		expect(ask(&rows) != 0 && rows.count == 0, "%lu columns, %lu described", rows_of[i].columns,
		       rows_of[i].described);
		assert_int_equal(db_row(&rows, 0)->type, DB_NULL);
	}
	answer_with(2, 1);
	fake_mysql.no_result = true;
	assert_int_not_equal(ask(&rows), 0);
}

static void rows_that_are_counted_otherwise_fail(void **state)
{
	(void)state;
	struct db_rows rows;
	static const int64_t counts[] = { 4, 1000, INT32_MAX, INT64_MAX, -1 };
	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		answer_with(2, 3);
		fake_mysql.rows = counts[i];
		expect(ask(&rows) != 0 && rows.count == 0, "%lld rows", (long long)counts[i]);
	}
}

static void numbers_and_texts_are_bounded(void **state)
{
	(void)state;
	struct db_rows rows;
	static const int64_t numbers[] = { INT64_MAX, INT64_MIN, ((int64_t)1 << 53) + 1 };
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		answer_with(2, 1);
		fake_mysql.number = numbers[i];
		expect(ask(&rows) != 0 && db_failure(db) == DB_BROKEN, "%lld", (long long)numbers[i]);
	}
	answer_with(2, 1);
	fake_mysql.type = MYSQL_TYPE_VAR_STRING;
	fake_mysql.length = (unsigned long)UINT32_MAX;
	assert_int_not_equal(ask(&rows), 0);
	assert_int_equal(db_failure(db), DB_AWAY);
}

static void a_number_is_read_within_its_bounds(void **state)
{
	(void)state;
	int64_t n = 7;
	assert_int_equal(db_int(db, &DB_N(255), 0, 255, &n), 0);
	assert_int_equal(n, 255);
	assert_int_not_equal(db_int(db, &DB_N(256), 0, 255, &n), 0);
	assert_int_not_equal(db_int(db, &DB_N(-1), 0, 255, &n), 0);
	assert_int_not_equal(db_int(db, &DB_S(STR("1")), 0, 255, &n), 0);
	assert_int_not_equal(db_int(db, &DB_NIL, 0, 255, &n), 0);
	assert_int_equal(db_failure(db), DB_BROKEN);
	assert_int_equal(n, 255);
}

/* Locks and timeouts */

/* What was said since the last call. */
static const char *said(void)
{
	static char text[sizeof fake_mysql.said];
	memcpy(text, fake_mysql.said, sizeof text);
	fake_mysql.said[0] = '\0';
	return text;
}

static bool lock(void)
{
	bool got;
	answer_with(1, 1);
	fake_mysql.params = 2;
	assert_int_equal(db_lock(db, &arena, STR("x"), 1, &got), 0);
	return got;
}

static void unlock(void)
{
	answer_with(1, 1);
	db_unlock(db, &arena, STR("x"));
}

static void commit_nothing(void)
{
	assert_int_equal(db_begin(db), 0);
	assert_int_equal(db_commit(db), 0);
}

#define LIMITED "SET SESSION wait_timeout = 600;"
#define FREE    "SET SESSION wait_timeout = DEFAULT;"

static void a_connection_with_a_lock_may_not_be_idle_for_long(void **state)
{
	(void)state;
	fake_mysql.number = 1;
	assert_int_equal(db_open(db), 0);
	said();
	assert_true(lock());
	assert_string_equal(said(), LIMITED "SELECT GET_LOCK(?, ?);");
	commit_nothing();
	assert_string_equal(said(), "SET SESSION idle_transaction_timeout = 2;START TRANSACTION;COMMIT;");
	unlock();
	assert_string_equal(said(), "SELECT RELEASE_LOCK(?);" FREE);
	fake_mysql.number = 0;
	assert_false(lock());
	assert_string_equal(said(), LIMITED FREE);
}

/* MySQL has one limit for transactions and all else. */
static void a_transaction_of_a_connection_with_a_lock_leaves_its_limit(void **state)
{
	(void)state;
	fake_mysql.server = "8.0.36";
	fake_mysql.number = 1;
	assert_true(lock());
	said();
	commit_nothing();
	assert_string_equal(said(), "SET SESSION wait_timeout = 2;START TRANSACTION;COMMIT;" LIMITED);
	unlock();
	said();
	commit_nothing();
	assert_string_equal(said(), "SET SESSION wait_timeout = 2;START TRANSACTION;COMMIT;" FREE);
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, start, stop)

UNIT_MAIN(EACH(a_result_is_read), EACH(parameters_that_are_counted_otherwise_fail),
	  EACH(a_row_or_a_column_that_is_missing_is_null), EACH(a_statement_that_needs_a_row_fails_without),
	  EACH(columns_that_were_not_announced_fail), EACH(rows_that_are_counted_otherwise_fail),
	  EACH(numbers_and_texts_are_bounded), EACH(a_number_is_read_within_its_bounds),
	  EACH(a_connection_with_a_lock_may_not_be_idle_for_long),
	  EACH(a_transaction_of_a_connection_with_a_lock_leaves_its_limit))
