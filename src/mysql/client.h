/*
 * The client library: MariaDB's Connector/C or MySQL 8's libmysqlclient. In this room errors are written as numbers,
 * because the two libraries name them differently.
 */
#ifndef MYSQL_CLIENT_H
#define MYSQL_CLIENT_H

#include <stdbool.h>

#include <mysql.h>

/* The type of flags: my_bool in one library, bool in the other. */
#define FLAG __typeof__(*((MYSQL_BIND *)0)->is_null)

/* Far above the largest statement and the largest row of this service, which have a few ten thousand bytes. */
enum { PACKET_MAX = 16 << 20 };

#endif
