/* Opens connections to the server, with the session settings that the statements expect. */
#ifndef MYSQL_CONNECTION_H
#define MYSQL_CONNECTION_H

#include "host/conf.h"
#include "mysql/client.h"
#include "mysql/problem.h"

/* Blocks for up to mysql_timeout_s at each exchange with the server. NULL: failed, and *p is set. */
MYSQL *connection_open(const struct conf *conf, struct db_problem *p);

/*
 * Whether the server has closed an idle connection. A server only sends replies, so if an idle socket can be read, it
 * has the end of the connection, or an error before it. One poll(2).
 */
bool connection_hung_up(MYSQL *m);

/* Runs a statement without values. 0; -1: failed, and *p is set. */
int connection_query(MYSQL *m, const char *sql, struct db_problem *p);
/* Sets *p to the error of the library's last call. Returns -1. */
int connection_problem(MYSQL *m, struct db_problem *p);

#endif
