/*
 * Migrates the schema. The files of sql/ are built into the program, applied in the order of their versions and
 * recorded in schema_migrations; there is no way back. One process migrates at a time, others wait. After a failure a
 * file runs again from its start, so its statements must be safe to repeat.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "base/arena.h"
#include "base/embed.h"
#include "mysql/db.h"
#include "sale/status.h"

struct migrations {
	const struct sql_file *files; /* in the order of their versions */
	int count;
	int applied; /* out: files that this call applied */
	int version; /* out: the schema's version afterwards; 0: no schema */
	int wanted;  /* out: the version of the newest file */
};

/*
 * Brings the schema to the version of the newest file. A newer schema is not changed and gives STATUS_OK: compare
 * version with wanted. STATUS_UNAVAILABLE (MySQL is unreachable, or another process migrates for longer than a minute)
 * or STATUS_INTERNAL, with *problem in the arena. A statement may not take longer than mysql_timeout_s. Blocks.
 */
enum status migrate(struct db *db, struct arena *a, struct migrations *m, const char **problem);

/* Only sets version and wanted. Returns the statuses of migrate. */
enum status migrate_read_version(struct db *db, struct arena *a, struct migrations *m, const char **problem);

#endif
