/*
 * A lost connection is closed at once, so an open one probably works. Before a call uses a connection that was idle, it
 * checks with a poll(2) whether the server has closed it, so that callers need no retry after a restart of MySQL.
 */
#include "mysql/db.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "mysql/connection.h"
#include "mysql/statement.h"

/* Another process may migrate the schema, or restore it from a backup, while a program is connected. */
enum { SCHEMA_MS = 1000 };

/*
 * How long the server waits for the next statement inside a transaction, or while the connection holds a lock, before
 * it closes the connection. Until then, a process that is stopped, or whose host is cut off, keeps its locks.
 */
enum { IDLE_S = 2, LONG_IDLE_S = 600 };

struct db {
	const struct conf *conf;
	MYSQL *mysql;       /* NULL: not connected */
	int schema;         /* the version that is required; 0: any */
	int64_t checked_ms; /* when the version was checked last */
	int idle_s;         /* the limit that was set for idle transactions; 0: none was set */
	bool holds_lock;    /* of db_lock */
	struct statements statements;
	bool in_transaction;
	bool is_doomed; /* the server may have ended the transaction, so none of its further statements may run */
	struct db_problem problem;
};

struct db *db_new(const struct conf *conf)
{
	struct db *db = alloc_zeroed(1, sizeof *db);
	db->conf = conf;
	return db;
}

void db_free(struct db *db)
{
	if (!db)
		return;
	db_close(db);
	free(db);
}

void db_require(struct db *db, int version)
{
	db->schema = version;
}

void db_close(struct db *db)
{
	statements_forget(&db->statements);
	if (db->mysql)
		mysql_close(db->mysql);
	db->mysql = NULL;
	if (db->in_transaction && !db->is_doomed) {
		db->is_doomed = true;
		problem_set(&db->problem, DB_AWAY, "the connection was closed inside a transaction");
	}
}

/* Updates the transaction and the connection after a failure, which is in db->problem. Returns -1. */
static int fail(struct db *db)
{
	enum db_failure failure = db->problem.failure;
	if (db->in_transaction && failure != DB_DUPLICATE && failure != DB_DATA)
		db->is_doomed = true;
	if (failure == DB_AWAY)
		db_close(db);
	return -1;
}

static int fail_with(struct db *db, enum db_failure failure, const char *text)
{
	problem_set(&db->problem, failure, text);
	return fail(db);
}

static int fail_mysql(struct db *db)
{
	connection_problem(db->mysql, &db->problem);
	return fail(db);
}

/* Runs a statement without values, which is not prepared. */
static int command(struct db *db, const char *sql)
{
	return connection_query(db->mysql, sql, &db->problem) < 0 ? fail(db) : 0;
}

/* Reads the highest recorded version; 0 when there is no schema. */
static int read_schema(struct db *db, int *version)
{
	enum { NO_SUCH_TABLE = 1146 };
	*version = 0;
	if (mysql_query(db->mysql, "SELECT MAX(version) FROM schema_migrations"))
		return mysql_errno(db->mysql) == NO_SUCH_TABLE ? 0 : fail_mysql(db);
	MYSQL_RES *result = mysql_store_result(db->mysql);
	if (!result)
		return fail_mysql(db);
	MYSQL_ROW row = mysql_num_fields(result) ? mysql_fetch_row(result) : NULL;
	int64_t number = 0;
	if (row && row[0])
		parse_int(str_of(row[0]), 0, INT_MAX, &number);
	*version = (int)number;
	mysql_free_result(result);
	return 0;
}

/* A program of another version would read columns that do not exist, or write rows that newer programs misread. */
static int check_schema(struct db *db)
{
	int version;
	char text[sizeof db->problem.text];
	if (!db->schema)
		return 0;
	db->checked_ms = clock_mono_ms();
	if (read_schema(db, &version) < 0)
		return -1;
	if (version == db->schema)
		return 0;
	snprintf(text, sizeof text, "the schema of database %s has version %d, this program needs version %d: %s",
		 db->conf->mysql_database, version, db->schema,
		 version < db->schema ? "run seckillctl migrate" : "start the program of the newer version");
	return fail_with(db, DB_SCHEMA, text);
}

static int connect_now(struct db *db)
{
	db->idle_s = 0;
	db->holds_lock = false;
	db->mysql = connection_open(db->conf, &db->problem);
	if (!db->mysql)
		return fail(db);
	if (check_schema(db) == 0)
		return 0;
	db_close(db);
	return -1;
}

static void clear_problem(struct db *db)
{
	db->problem.failure = DB_NONE;
	db->problem.text[0] = '\0';
}

int db_open(struct db *db)
{
	if (db->in_transaction)
		return db->is_doomed ? -1 : 0;
	clear_problem(db);
	if (db->mysql && connection_hung_up(db->mysql))
		db_close(db);
	if (db->mysql && clock_mono_ms() - db->checked_ms >= SCHEMA_MS && check_schema(db) < 0) {
		db_close(db);
		if (db->problem.failure == DB_SCHEMA)
			return -1;
		clear_problem(db);
	}
	return db->mysql ? 0 : connect_now(db);
}

int db_run(struct db *db, const struct db_statement *statement)
{
	if (statement->rows)
		*statement->rows = (struct db_rows){ .values = statement_nulls };
	if (db_open(db) < 0)
		return -1;
	return statement_run(&db->statements, db->mysql, statement, &db->problem) < 0 ? fail(db) : 0;
}

int db_may(struct db *db, const char *sql)
{
	if (db_open(db) < 0)
		return -1;
	return statement_check(db->mysql, sql, &db->problem) < 0 ? fail(db) : 0;
}

int db_has_row(struct db *db, const struct db_rows *rows)
{
	return rows->count > 0 ? 0 : fail_with(db, DB_AWAY, "MySQL sent no row where there is always one");
}

int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number)
{
	if (v->type != DB_INT || v->number < min || v->number > max)
		return fail_with(db, DB_BROKEN, "a number in MySQL is out of its bounds");
	*number = v->number;
	return 0;
}

/* Scripts */

static int fail_script(struct db *db, int number)
{
	fail_mysql(db);
	char text[sizeof db->problem.text];
	snprintf(text, sizeof text, "statement %d: %.480s", number, db->problem.text);
	memcpy(db->problem.text, text, sizeof text);
	return -1;
}

static int run_script(struct db *db, struct str sql)
{
	int number = 1, more = mysql_real_query(db->mysql, sql.p, sql.n) ? 1 : 0;
	for (; more == 0; number++) {
		MYSQL_RES *result = mysql_store_result(db->mysql);
		FAULT(migrate_statement);
		if (result)
			mysql_free_result(result);
		more = mysql_next_result(db->mysql); /* 0: one more; -1: that was the last; above 0: an error */
	}
	return more > 0 ? fail_script(db, number) : 0;
}

/* Multi-statements are on only for a script, so that elsewhere a text can only be one statement. */
int db_script(struct db *db, struct str sql)
{
	if (db_open(db) < 0)
		return -1;
	if (mysql_set_server_option(db->mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON))
		return fail_mysql(db);
	int result = run_script(db, sql);
	if (db->mysql && mysql_set_server_option(db->mysql, MYSQL_OPTION_MULTI_STATEMENTS_OFF))
		db_close(db);
	return result;
}

/* Transactions */

static bool is_mariadb(const struct db *db)
{
	return strstr(mysql_get_server_info(db->mysql), "MariaDB");
}

enum { TIMEOUT_SQL = 80 };

/* 0 seconds: the server's default. */
static const char *timeout_sql(char sql[TIMEOUT_SQL], const char *name, int seconds)
{
	if (seconds)
		snprintf(sql, TIMEOUT_SQL, "SET SESSION %s = %d", name, seconds);
	else
		snprintf(sql, TIMEOUT_SQL, "SET SESSION %s = DEFAULT", name);
	return sql;
}

/* MariaDB's setting counts only inside transactions. MySQL's counts always, so unlimit_idle resets it afterwards. */
static int limit_idle(struct db *db, int seconds)
{
	char sql[TIMEOUT_SQL];
	if (db->idle_s == seconds)
		return 0;
	const char *name = is_mariadb(db) ? "idle_transaction_timeout" : "wait_timeout";
	int failed = command(db, timeout_sql(sql, name, seconds));
	db->idle_s = failed ? 0 : seconds;
	return failed;
}

/* The transaction or the lock has ended before, so an error closes the connection and is not reported. */
static void reset_wait_timeout(struct db *db)
{
	char sql[TIMEOUT_SQL];
	if (mysql_query(db->mysql, timeout_sql(sql, "wait_timeout", db->holds_lock ? LONG_IDLE_S : 0)))
		db_close(db);
}

static void unlimit_idle(struct db *db)
{
	if (is_mariadb(db))
		return;
	db->idle_s = 0;
	reset_wait_timeout(db);
}

static int begin(struct db *db, int idle_s)
{
	db_rollback(db);
	if (db_open(db) < 0 || limit_idle(db, idle_s) < 0 || command(db, "START TRANSACTION") < 0)
		return -1;
	db->in_transaction = true;
	return 0;
}

int db_begin(struct db *db)
{
	return begin(db, IDLE_S);
}

int db_begin_long(struct db *db)
{
	return begin(db, LONG_IDLE_S);
}

int db_commit(struct db *db)
{
	assert(db->in_transaction);
	if (db_open(db) < 0)
		return -1;
	if (command(db, "COMMIT") < 0) {
		db->is_doomed = true;
		return -1;
	}
	db->in_transaction = false;
	unlimit_idle(db);
	return 0;
}

void db_rollback(struct db *db)
{
	bool open = db->in_transaction && db->mysql;
	db->in_transaction = db->is_doomed = false;
	if (open && mysql_query(db->mysql, "ROLLBACK"))
		db_close(db);
	else if (open)
		unlimit_idle(db);
}

/* Locks */

static void end_lock(struct db *db)
{
	db->holds_lock = false;
	if (db->mysql)
		reset_wait_timeout(db);
}

int db_lock(struct db *db, struct arena *arena, struct str name, int wait_s, bool *got)
{
	struct db_rows rows;
	char sql[TIMEOUT_SQL];
	assert(!db->in_transaction);
	*got = false;
	if (db_open(db) < 0 || command(db, timeout_sql(sql, "wait_timeout", LONG_IDLE_S)) < 0)
		return -1;
	db->holds_lock = true;
	int failed = db_query_row(db, arena, "SELECT GET_LOCK(?, ?)", &rows, DB_S(name), DB_N(wait_s));
	*got = !failed && db_row(&rows, 0)->number == 1;
	if (!*got)
		end_lock(db);
	return failed ? -1 : 0;
}

void db_unlock(struct db *db, struct arena *arena, struct str name)
{
	struct db_rows rows;
	if (db_query(db, arena, "SELECT RELEASE_LOCK(?)", &rows, DB_S(name)))
		db_close(db);
	end_lock(db);
}

/* Settings */

static const char *durability_problem(struct arena *a, const struct db_value *v)
{
	if (v[3].type != DB_TEXT)
		return "MySQL did not send its settings";
	if (v[0].number != 1)
		return arena_printf(a, "innodb_flush_log_at_trx_commit is %lld, must be 1", (long long)v[0].number);
	if (v[1].number && v[2].number != 1)
		return arena_printf(a, "sync_binlog is %lld, must be 1 while log_bin is on", (long long)v[2].number);
	if (!strstr(v[3].text.p, "STRICT_ALL_TABLES"))
		return arena_printf(a, "sql_mode is '%s', must have STRICT_ALL_TABLES", v[3].text.p);
	return NULL;
}

int db_check_durable(struct db *db, struct arena *arena, const char **problem)
{
	struct db_rows rows;
	if (db_query_row(db, arena,
			 "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.log_bin, @@GLOBAL.sync_binlog, "
			 "CONCAT(@@SESSION.sql_mode, '')",
			 &rows))
		return -1;
	*problem = durability_problem(arena, db_row(&rows, 0));
	return 0;
}

bool db_is_open(const struct db *db)
{
	return db->mysql;
}

enum db_failure db_failure(const struct db *db)
{
	return db->problem.failure;
}

const char *db_error(const struct db *db)
{
	return db->problem.text;
}
