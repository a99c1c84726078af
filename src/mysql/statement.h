/*
 * The prepared statements of one connection, found by their text; when all places are used, the least recently used
 * statement is closed. The numbers of parameters, columns and rows that the server reports are checked. A wrong one is
 * reported as DB_AWAY, so that the connection is closed.
 */
#ifndef MYSQL_STATEMENT_H
#define MYSQL_STATEMENT_H

#include "mysql/client.h"
#include "mysql/problem.h"
#include "mysql/value.h"

enum { STATEMENTS = 64 };

/* Zeroed before its first use. */
struct statements {
	struct prepared {
		MYSQL_STMT *stmt; /* NULL: a free place */
		char *sql;
		uint64_t hash, last_use;
		int params;
		MYSQL_BIND *binds; /* one for each parameter */
	} places[STATEMENTS];
	uint64_t uses;
};

/* Closes all statements. To be called before the connection is closed. */
void statements_forget(struct statements *s);

/* Runs a statement. 0; -1: failed, and *p is set. The caller must have initialised *statement->rows. */
int statement_run(struct statements *s, MYSQL *m, const struct db_statement *statement, struct db_problem *p);
/* Only prepares a statement. 0; -1: failed, and *p is set. */
int statement_check(MYSQL *m, const char *sql, struct db_problem *p);

/* A row of DB_COLUMNS times DB_NULL, in place of a row that the server did not send. */
extern const struct db_value statement_nulls[DB_COLUMNS];

#endif
