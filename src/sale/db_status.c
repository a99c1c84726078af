#include "sale/db_status.h"

#include "host/log.h"

enum status db_status(const struct db *db, const char *at)
{
	enum db_failure f = db_failure(db);
	log_error_limited("mysql_failed", LOG_TEXT("at", at), LOG_TEXT("error", db_error(db)));
	return f == DB_AWAY || f == DB_TRANSIENT || f == DB_SCHEMA ? STATUS_UNAVAILABLE : STATUS_INTERNAL;
}
