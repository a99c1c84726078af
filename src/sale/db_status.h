/* The status of a request that met a failure of MySQL. */
#ifndef SALE_DB_STATUS_H
#define SALE_DB_STATUS_H

#include "mysql/db.h"
#include "sale/status.h"

/* STATUS_UNAVAILABLE when repeating may help, else STATUS_INTERNAL. Logs the reason, with `at` as the place. */
enum status db_status(const struct db *db, const char *at);

#endif
