/*
 * A connection to MySQL or MariaDB; the only code that knows libmysqlclient.
 * Blocks, at each exchange with the server for at most the configured timeout.
 * Every statement that carries a value is prepared, and prepared once per
 * connection. A lost connection is opened again by the next call outside a
 * transaction; one that the server dropped while it was idle goes unnoticed.
 * On TCP a host that vanished is noticed within that timeout, too.
 *
 * Inside a transaction nothing reconnects. After an error that may have ended
 * it (all but DB_DUPLICATE and DB_DATA, which undo one statement) every call,
 * db_commit too, fails with that same error until db_rollback or db_begin.
 *
 * Functions return 0, or -1 with the reason in db_error() and db_failure().
 * Not for two threads or processes; the process ignores SIGPIPE.
 */
#ifndef MYSQL_DB_H
#define MYSQL_DB_H

#include <stdint.h>

#include "base/arena.h"
#include "host/conf.h"

#define MUST_CHECK __attribute__((warn_unused_result))

enum db_failure {
	DB_NONE,
	DB_AWAY, /* no connection, or it broke: outcome unknown of a commit, and of a write outside a transaction */
	DB_TRANSIENT, /* deadlock, lock wait, disk full, read-only: roll back and try again */
	DB_DUPLICATE, /* a unique key exists already */
	DB_DATA,      /* the server refuses this value: trying again cannot help */
	DB_SCHEMA,    /* the schema has another version than db_require asked for: nothing was done */
	DB_BROKEN,    /* privileges, syntax: an operator must look */
};

/* What an error number of the server or the client library means. */
enum db_failure db_classify(unsigned number);

/* A result's whole numbers (also SUM and the like: decimals without a fraction) are DB_INT, all else is DB_TEXT. */
enum db_type { DB_NULL, DB_INT, DB_TEXT };

struct db_value {
	enum db_type type;
	int64_t number;
	struct str text;
};

#define DB_N(value) ((struct db_value){ .type = DB_INT, .number = (int64_t)(value) })
#define DB_S(value) ((struct db_value){ .type = DB_TEXT, .text = (value) })
#define DB_NIL      ((struct db_value){ .type = DB_NULL })

/*
 * Rows of a result, row by row, in the caller's arena. db_row's values may be read up to column DB_COLUMNS: what the
 * server did not send, a row or a column, is DB_NULL. The text of a value that is none is empty, never NULL. Whole
 * numbers are within NUMBER_MAX: a result with another one is an error.
 */
enum { DB_COLUMNS = 32 };

struct db_rows {
	int count, columns;
	const struct db_value *values;
};

static inline const struct db_value *db_row(const struct db_rows *rows, int i)
{
	return rows->values + (size_t)i * (size_t)rows->columns;
}

struct db;

/* Keeps a pointer to conf. Does not connect. */
struct db *db_new(const struct conf *conf);
void db_free(struct db *db);

/*
 * From now on every call outside a transaction fails with DB_SCHEMA while schema_migrations does not end with this
 * version; db_error() then names both. Looked up for each connection, and again every second. 0, the default: every
 * schema is accepted.
 */
void db_require(struct db *db, int version);

/* Connects unless connected. */
int db_open(struct db *db) MUST_CHECK;
/* Inside a transaction this loses it: the rest of it fails, as above. */
void db_close(struct db *db);

/*
 * One statement with `count` parameters. `rows` may be NULL when no result is
 * wanted; `arena` owns the rows. *affected (may be NULL) gets the rows changed:
 * a row that an UPDATE finds with the same values already does not count.
 * Texts are sent as bytes, without a character set.
 */
int db_run(struct db *db, struct arena *arena, const char *sql, const struct db_value *params, int count,
	   struct db_rows *rows, int64_t *affected) MUST_CHECK;

/* Convenience: db_run with a literal list of parameters. */
#define DB_LIST_(...)  ((const struct db_value[]){ __VA_ARGS__ __VA_OPT__(, ) DB_NIL })
#define DB_COUNT_(...) ((int)(sizeof DB_LIST_(__VA_ARGS__) / sizeof(struct db_value)) - 1)
#define db_exec(db, sql, affected, ...)                                                                                \
	db_run(db, NULL, sql, DB_LIST_(__VA_ARGS__), DB_COUNT_(__VA_ARGS__), NULL, affected)
#define db_query(db, arena, sql, rows, ...)                                                                            \
	db_run(db, arena, sql, DB_LIST_(__VA_ARGS__), DB_COUNT_(__VA_ARGS__), rows, NULL)

/* The same for a statement that gives a row at least: without one it fails. Not 0: it failed. */
#define db_query_row(db, arena, sql, rows, ...)                                                                        \
	(db_query(db, arena, sql, rows __VA_OPT__(, ) __VA_ARGS__) || db_has_row(db, rows))
int db_has_row(struct db *db, const struct db_rows *rows) MUST_CHECK;

/* Of a row: a whole number within bounds. Else it fails, and *number stays. For what counts, or is an index, a size. */
int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number) MUST_CHECK;

/*
 * Whether the server would take a statement: it is prepared, which looks at tables, columns and rights, and never run.
 */
int db_may(struct db *db, const char *sql) MUST_CHECK;

/*
 * A script of statements without values (schema migrations); stops at the
 * first error and says at which statement. Statements before it are done,
 * unless a transaction takes them back.
 */
int db_script(struct db *db, struct str sql) MUST_CHECK;

/*
 * READ COMMITTED. Rolls back a transaction that was left open. When no statement comes for 2 seconds the server rolls
 * back and closes the connection, so that a process which is stopped keeps no locks: the next call fails with DB_AWAY.
 */
int db_begin(struct db *db) MUST_CHECK;
/* The same for 10 minutes: for whoever asks Redis, again and again, under locks that no drainer of a sale waits for. */
int db_begin_long(struct db *db) MUST_CHECK;
/* On failure call db_rollback, then ask db_failure: DB_AWAY means that the commit may have happened. */
int db_commit(struct db *db) MUST_CHECK;
/*
 * Never fails: when the server cannot be told, the connection is closed, which
 * rolls back too. Leaves db_failure and db_error alone; harmless outside a
 * transaction.
 */
void db_rollback(struct db *db);

/* NULL when this server keeps what it commits, else what is wrong (in the arena). -1: cannot ask. */
int db_check_durable(struct db *db, struct arena *arena, const char **problem) MUST_CHECK;

/* Whether there is a connection, as far as the last call knows. */
bool db_is_open(const struct db *db);

enum db_failure db_failure(const struct db *db);
const char *db_error(const struct db *db);

#endif
