/* What an error of MySQL means to a caller. Callers include mysql/db.h. */
#ifndef MYSQL_FAILURE_H
#define MYSQL_FAILURE_H

enum db_failure {
	DB_NONE,
	DB_AWAY, /* no connection, or it was lost; a commit, or a write outside a transaction, may have been done */
	DB_TRANSIENT, /* deadlock, lock wait, disk full, read-only: roll back and try again */
	DB_DUPLICATE, /* a row with this unique key exists */
	DB_DATA,      /* the server refuses a value, and will refuse it again */
	DB_SCHEMA,    /* the schema has another version than db_require asked for: nothing was done */
	DB_BROKEN,    /* any other error, for example a missing right: an operator must look */
};

#endif
