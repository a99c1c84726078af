/*
 * The schema: the files of sql/, built into the program, applied in the order
 * of their versions and recorded in schema_migrations. Forward only. One
 * process at a time; others wait. A file that failed half-way is run again
 * from its start, so its statements must bear that.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "base/arena.h"
#include "base/embed.h"
#include "mysql/db.h"
#include "sale/status.h"

struct migration {
	int applied; /* files that this call applied */
	int version; /* the schema's version afterwards; 0: no schema */
	int wanted;  /* the newest version among the files */
};

/*
 * Brings the schema up to the newest file. STATUS_OK; STATUS_UNAVAILABLE (MySQL
 * is away, or another process migrates for longer than a minute) or
 * STATUS_INTERNAL, with *problem in the arena. A schema newer than the files is
 * left alone and is STATUS_OK: look at version. A statement may take no longer
 * than mysql_timeout_s.
 */
enum status migrate(struct db *db, struct arena *a, const struct sql_file *files, int count, struct migration *m,
		    const char **problem);

/* Only looks: fills version and wanted. The same statuses. */
enum status migrate_look(struct db *db, struct arena *a, const struct sql_file *files, int count, struct migration *m,
			 const char **problem);

#endif
