/* What a failure of MySQL means to who asked; the reason goes to the log. */
#ifndef SALE_FAILURE_H
#define SALE_FAILURE_H

#include "base/status.h"
#include "store/db.h"

/* STATUS_UNAVAILABLE when asking again may help, else STATUS_INTERNAL. `at` is a constant word for the log. */
enum status failure_of_db(const struct db *db, const char *at);

#endif
