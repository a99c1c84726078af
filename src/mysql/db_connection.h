/*
 * What db.c, the connection and its transactions, and db_statement.c, prepared statements and their results, share.
 * For these two only, which alone include mysql.h. Written for MariaDB's Connector/C and MySQL 8's libmysqlclient
 * alike; error numbers stand there as numbers because the two headers name different ones.
 */
#ifndef MYSQL_DB_CONNECTION_H
#define MYSQL_DB_CONNECTION_H

#include <stdbool.h>

#include <mysql.h>

#include "mysql/db.h"

/* my_bool in one library, bool in the other */
#define FLAG __typeof__(*((MYSQL_BIND *)0)->is_null)

/* Our largest statement and our largest row have a few ten thousand bytes. */
enum { STATEMENTS = 64, PACKET_MAX = 16 << 20 };

struct statement {
	MYSQL_STMT *stmt; /* NULL: a free place */
	char *sql;
	uint64_t hash, last_use;
	int params;
	MYSQL_BIND *binds; /* one a parameter */
};

struct db {
	const struct conf *conf;
	MYSQL *mysql;       /* NULL: not connected */
	int schema;         /* the version that is required; 0: any */
	int64_t checked_ms; /* when it was compared last */
	int idle_s;         /* the session's limit of an idle transaction; 0: the server's own */
	struct statement statements[STATEMENTS];
	uint64_t uses;
	bool in_transaction;
	bool doomed; /* the transaction may be gone on the server: no statement of it may run alone */
	enum db_failure failure;
	char error[512];
};

/* Keeps what went wrong, for db_failure() and db_error(); closes a connection that is lost. Returns -1. */
int db_fail(struct db *db, enum db_failure failure, unsigned number, const char *text);

/* All of them are worth nothing once the connection is closed. */
void statements_forget(struct db *db);

#endif
