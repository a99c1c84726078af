/* What a failure of MySQL means to who asked; the reason goes to the log. */
#ifndef SALE_DB_STATUS_H
#define SALE_DB_STATUS_H

#include "mysql/db.h"
#include "sale/status.h"

/* STATUS_UNAVAILABLE when asking again may help, else STATUS_INTERNAL. `at` is a constant word for the log. */
enum status db_status(const struct db *db, const char *at);

#endif
