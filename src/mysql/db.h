/*
 * A connection to MySQL or MariaDB. Other rooms include only this header. Calls block, for at most mysql_timeout_s at
 * each exchange with the server. Every statement that has a value is prepared, once for each connection. If the
 * connection is lost, the next call outside a transaction opens a new one; if the server closed it while it was idle,
 * no call fails. On TCP, the failure of a host is detected within mysql_timeout_s, too.
 *
 * Inside a transaction, no call reconnects. DB_DUPLICATE and DB_DATA undo one statement. Any other error may have ended
 * the transaction: then every call, db_commit too, fails with the same error until db_rollback or db_begin is called.
 *
 * Functions return 0, or -1 with the reason in db_error() and db_failure(). Not for two threads or processes; the
 * process ignores SIGPIPE.
 */
#ifndef MYSQL_DB_H
#define MYSQL_DB_H

#include "host/conf.h"
#include "mysql/failure.h"
#include "mysql/value.h"

#define MUST_CHECK __attribute__((warn_unused_result))

struct db;

/* Keeps a pointer to conf. Does not connect. */
struct db *db_new(const struct conf *conf);
void db_free(struct db *db);

/*
 * From now on, every call outside a transaction fails with DB_SCHEMA while the highest version in schema_migrations is
 * another one; db_error() then names both versions. The version is read for each new connection, and again every
 * second. 0, the default: every schema is accepted.
 */
void db_require(struct db *db, int version);

/* Connects if there is no connection. */
int db_open(struct db *db) MUST_CHECK;
/* Closes the connection. Inside a transaction, all further calls fail, as described above. */
void db_close(struct db *db);

/* Runs one statement. */
int db_run(struct db *db, const struct db_statement *statement) MUST_CHECK;

/* db_run for a statement without rows, and for one with rows. */
#define db_exec_params(db_, sql_, affected_, params_, count_)                                                          \
	db_run(db_, &(const struct db_statement){                                                                      \
			    .sql = (sql_), .params = (params_), .count = (count_), .affected = (affected_) })
#define db_query_params(db_, arena_, sql_, rows_, params_, count_)                                                     \
	db_run(db_,                                                                                                    \
	       &(const struct db_statement){                                                                           \
		       .sql = (sql_), .params = (params_), .count = (count_), .arena = (arena_), .rows = (rows_) })

/* The same, with the parameters as arguments. */
#define DB_LIST_(...)                   ((const struct db_value[]){ __VA_ARGS__ __VA_OPT__(, ) DB_NIL })
#define DB_COUNT_(...)                  ((int)(sizeof DB_LIST_(__VA_ARGS__) / sizeof(struct db_value)) - 1)
#define db_exec(db, sql, affected, ...) db_exec_params(db, sql, affected, DB_LIST_(__VA_ARGS__), DB_COUNT_(__VA_ARGS__))
#define db_query(db, arena, sql, rows, ...)                                                                            \
	db_query_params(db, arena, sql, rows, DB_LIST_(__VA_ARGS__), DB_COUNT_(__VA_ARGS__))

/* db_query for a statement that always returns a row; it fails if there is none. 0, or not 0. */
#define db_query_row(db, arena, sql, rows, ...)                                                                        \
	(db_query(db, arena, sql, rows __VA_OPT__(, ) __VA_ARGS__) || db_has_row(db, rows))
int db_has_row(struct db *db, const struct db_rows *rows) MUST_CHECK;

/* Reads a whole number within bounds, for counts, indexes and sizes. If it fails, *number is not changed. */
int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number) MUST_CHECK;

/* Checks whether the server accepts a statement: only prepares it, which checks tables, columns and rights. */
int db_may(struct db *db, const char *sql) MUST_CHECK;

/*
 * Runs a script of statements without values, for schema migrations. Stops at the first error; db_error() then has the
 * number of the statement. The statements before it were run, unless they are in a transaction that is rolled back.
 */
int db_script(struct db *db, struct str sql) MUST_CHECK;

/*
 * Begins a transaction (READ COMMITTED); rolls back one that is still open. If the server gets no statement for 2
 * seconds, it rolls back and closes the connection, so that a stopped process keeps no locks; the next call fails with
 * DB_AWAY.
 */
int db_begin(struct db *db) MUST_CHECK;
/*
 * As db_begin, with 10 minutes: for transactions that wait for Redis, and hold no lock that drainers of a sale wait
 * for.
 */
int db_begin_long(struct db *db) MUST_CHECK;
/* After a failure, db_rollback must be called. DB_AWAY means that the transaction may have been committed. */
int db_commit(struct db *db) MUST_CHECK;
/*
 * Never fails: if the command fails, the connection is closed, which rolls back, too. Does not change db_failure and
 * db_error. Does nothing outside a transaction.
 */
void db_rollback(struct db *db);

/*
 * Takes the server's lock of this name, which this connection then holds outside of transactions, too; *got is false if
 * another one has held it for wait_s. If the server gets no statement for 10 minutes, it closes the connection, and so
 * frees the lock of a process that is stopped or whose host is lost. One lock at a time.
 */
int db_lock(struct db *db, struct arena *arena, struct str name, int wait_s, bool *got) MUST_CHECK;
/* Never fails: if the command fails, the connection is closed, which frees the lock, too. */
void db_unlock(struct db *db, struct arena *arena, struct str name);

/*
 * Sets *problem to NULL if this server keeps what it commits, else to the reason, in the arena. -1: it did not answer.
 */
int db_check_durable(struct db *db, struct arena *arena, const char **problem) MUST_CHECK;

/* Whether there is a connection. */
bool db_is_open(const struct db *db);

enum db_failure db_failure(const struct db *db);
const char *db_error(const struct db *db);

#endif
