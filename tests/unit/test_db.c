/*
 * What a MySQL says of a statement and its result, against the real store/db*.c: the client library is replaced by one
 * that says what a test wants. Rows, columns and parameters may be missing, too many, or of another kind.
 */
#include "unit/unit.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/db_connection.h"

/* The library */

static struct {
	unsigned long params, columns, described; /* described: the columns of the metadata; the rest is 0 */
	int64_t rows, fetched;                    /* fetched: how many rows there are indeed */
	int64_t number;                           /* in every column of a whole number */
	unsigned long length;                     /* of every text */
	bool no_result;
	enum enum_field_types type;
} server;

static MYSQL connection;
static MYSQL_STMT statement;
static MYSQL_RES result;
static MYSQL_FIELD fields[256];
static MYSQL_BIND bound[256];
static int64_t row;
static int open_statements;

MYSQL *mysql_init(MYSQL *m)
{
	(void)m;
	return &connection;
}

int mysql_options(MYSQL *m, enum mysql_option option, const void *value)
{
	(void)m, (void)option, (void)value;
	return 0;
}

MYSQL *mysql_real_connect(MYSQL *m, const char *host, const char *user, const char *password, const char *database,
			  unsigned port, const char *socket, unsigned long flags)
{
	(void)host, (void)user, (void)password, (void)database, (void)port, (void)socket, (void)flags;
	return m;
}

void mysql_close(MYSQL *m)
{
	(void)m;
}

my_socket mysql_get_socket(MYSQL *m)
{
	(void)m;
	return -1;
}

int mysql_query(MYSQL *m, const char *sql)
{
	(void)m, (void)sql;
	return 0;
}

unsigned mysql_errno(MYSQL *m)
{
	(void)m;
	return 0;
}

const char *mysql_error(MYSQL *m)
{
	(void)m;
	return "";
}

MYSQL_STMT *mysql_stmt_init(MYSQL *m)
{
	(void)m;
	open_statements++;
	return &statement;
}

FLAG mysql_stmt_close(MYSQL_STMT *s)
{
	(void)s;
	open_statements--;
	return 0;
}

int mysql_stmt_prepare(MYSQL_STMT *s, const char *sql, unsigned long n)
{
	(void)s, (void)sql, (void)n;
	return 0;
}

unsigned long mysql_stmt_param_count(MYSQL_STMT *s)
{
	(void)s;
	return server.params;
}

FLAG mysql_stmt_bind_param(MYSQL_STMT *s, MYSQL_BIND *binds)
{
	(void)s, (void)binds;
	return 0;
}

int mysql_stmt_execute(MYSQL_STMT *s)
{
	(void)s;
	row = 0;
	return 0;
}

unsigned mysql_stmt_field_count(MYSQL_STMT *s)
{
	(void)s;
	return (unsigned)server.columns;
}

MYSQL_RES *mysql_stmt_result_metadata(MYSQL_STMT *s)
{
	(void)s;
	return server.no_result ? NULL : &result;
}

unsigned mysql_num_fields(MYSQL_RES *r)
{
	(void)r;
	return (unsigned)server.described;
}

MYSQL_FIELD *mysql_fetch_fields(MYSQL_RES *r)
{
	(void)r;
	for (size_t i = 0; i < COUNT_OF(fields); i++)
		fields[i].type = server.type;
	return fields;
}

void mysql_free_result(MYSQL_RES *r)
{
	(void)r;
}

FLAG mysql_stmt_bind_result(MYSQL_STMT *s, MYSQL_BIND *binds)
{
	(void)s;
	memcpy(bound, binds, server.described * sizeof *binds);
	return 0;
}

int mysql_stmt_store_result(MYSQL_STMT *s)
{
	(void)s;
	return 0;
}

my_ulonglong mysql_stmt_num_rows(MYSQL_STMT *s)
{
	(void)s;
	return (my_ulonglong)server.rows;
}

my_ulonglong mysql_stmt_affected_rows(MYSQL_STMT *s)
{
	(void)s;
	return 1;
}

int mysql_stmt_fetch(MYSQL_STMT *s)
{
	(void)s;
	if (row++ == server.fetched)
		return MYSQL_NO_DATA;
	for (unsigned long i = 0; i < server.described; i++)
		if (bound[i].buffer_type == MYSQL_TYPE_LONGLONG)
			*(int64_t *)bound[i].buffer = server.number;
		else
			*bound[i].length = server.length;
	return 0;
}

int mysql_stmt_fetch_column(MYSQL_STMT *s, MYSQL_BIND *b, unsigned column, unsigned long offset)
{
	(void)s, (void)column, (void)offset;
	memset(b->buffer, 'x', b->buffer_length);
	return 0;
}

FLAG mysql_stmt_free_result(MYSQL_STMT *s)
{
	(void)s;
	return 0;
}

unsigned mysql_stmt_errno(MYSQL_STMT *s)
{
	(void)s;
	return 0;
}

const char *mysql_stmt_error(MYSQL_STMT *s)
{
	(void)s;
	return "";
}

/* The tests */

static struct conf conf;
static struct db *db;
static struct arena arena;

static int start(void **state)
{
	(void)state;
	memset(&server, 0, sizeof server);
	server.type = MYSQL_TYPE_LONGLONG;
	conf_init(&conf);
	db = db_new(&conf);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	db_free(db);
	assert_int_equal(open_statements, 0);
	arena_release(&arena);
	conf_release(&conf);
	return 0;
}

static int ask(struct db_rows *rows)
{
	return db_query(db, &arena, "SELECT a, b FROM t WHERE c = ?", rows, DB_N(1));
}

/* A result of so many columns and rows, as it should be. */
static void answer_with(int columns, int rows)
{
	server.params = 1;
	server.columns = server.described = (unsigned long)columns;
	server.rows = server.fetched = rows;
}

static void a_result_is_read(void **state)
{
	(void)state;
	struct db_rows rows;
	answer_with(2, 3);
	server.number = 7;
	assert_int_equal(ask(&rows), 0);
	assert_int_equal(rows.count, 3);
	assert_int_equal(db_row(&rows, 2)[1].number, 7);
	server.type = MYSQL_TYPE_VAR_STRING;
	server.length = 100;
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
		server.params = counts[i];
		db_close(db); /* statements are prepared anew */
		expect(ask(&rows) != 0 && db_failure(db) == DB_AWAY, "%lu parameters: %s", counts[i], db_error(db));
		answer_with(2, 1);
		expect(ask(&rows) == 0, "after %lu parameters: %s", counts[i], db_error(db));
	}
}

/* What is not there reads as NULL: 0, and a text that is empty. */
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
	server.params = 0;
	assert_int_not_equal(db_check_durable(db, &arena, &problem), 0);
	answer_with(1, 1); /* three are missing */
	server.params = 0;
	assert_int_equal(db_check_durable(db, &arena, &problem), 0);
	assert_non_null(problem);
	answer_with(4, 1); /* the last one is no text */
	server.params = 0;
	server.number = 1;
	assert_int_equal(db_check_durable(db, &arena, &problem), 0);
	assert_non_null(problem);
}

static void columns_that_were_not_announced_fail(void **state)
{
	(void)state;
	struct db_rows rows;
	static const struct {
		unsigned long columns, described;
	} rows_of[] = { { 2, 1 }, { 1, 2 }, { 1, 0 }, { 200, 200 }, { 33, 33 } };
	for (size_t i = 0; i < COUNT_OF(rows_of); i++) {
		answer_with(2, 1);
		server.columns = rows_of[i].columns;
		server.described = rows_of[i].described;
		expect(ask(&rows) != 0 && rows.count == 0, "%lu columns, %lu described", rows_of[i].columns,
		       rows_of[i].described);
		assert_int_equal(db_row(&rows, 0)->type, DB_NULL);
	}
	answer_with(2, 1);
	server.no_result = true;
	assert_int_not_equal(ask(&rows), 0);
}

static void rows_that_are_counted_otherwise_fail(void **state)
{
	(void)state;
	struct db_rows rows;
	static const int64_t counts[] = { 4, 1000, INT32_MAX, INT64_MAX, -1 };
	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		answer_with(2, 3);
		server.rows = counts[i];
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
		server.number = numbers[i];
		expect(ask(&rows) != 0 && db_failure(db) == DB_BROKEN, "%lld", (long long)numbers[i]);
	}
	answer_with(2, 1);
	server.type = MYSQL_TYPE_VAR_STRING;
	server.length = (unsigned long)UINT32_MAX;
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

#define EACH(name) cmocka_unit_test_setup_teardown(name, start, stop)

UNIT_MAIN(EACH(a_result_is_read), EACH(parameters_that_are_counted_otherwise_fail),
	  EACH(a_row_or_a_column_that_is_missing_is_null), EACH(a_statement_that_needs_a_row_fails_without),
	  EACH(columns_that_were_not_announced_fail), EACH(rows_that_are_counted_otherwise_fail),
	  EACH(numbers_and_texts_are_bounded), EACH(a_number_is_read_within_its_bounds))
