/*
 * A client library of MySQL that answers what a test sets, for one connection with one statement at a time. It replaces
 * libmariadb or libmysqlclient at link time, under src/mysql.
 */
#ifndef UNIT_FAKE_MYSQL_H
#define UNIT_FAKE_MYSQL_H

#include "mysql/client.h"
#include "mysql/db.h"

extern struct fake_mysql {
	unsigned long params, columns, described; /* described: the columns of the metadata; the rest is 0 */
	int64_t rows, fetched;                    /* fetched: how many rows can be fetched */
	int64_t number;                           /* in every column of a whole number */
	unsigned long length;                     /* of every text */
	bool no_result, is_null;
	enum enum_field_types type;
	unsigned error, error_at; /* an error number, and the function that fails with it: enum fake_mysql_at */
	const char *server;       /* its version; NULL: a MariaDB */
	char said[2048];          /* the statements that were sent or prepared, each with a semicolon behind it */
} fake_mysql;

enum fake_mysql_at { FAKE_NOWHERE, FAKE_QUERY, FAKE_PREPARE, FAKE_EXECUTE, FAKE_STORE, FAKE_FETCH, FAKE_CONNECT };

int fake_mysql_open_statements(void);

#endif
