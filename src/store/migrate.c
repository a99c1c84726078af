/*
 * The lock (GET_LOCK) belongs to the connection. If db.h opened a new connection unnoticed, the migration would go on
 * without the lock. Inside a transaction db.h never reconnects, so a transaction is open all the time. The transaction
 * does not make the migration atomic, because DDL commits, both in MySQL and in MariaDB.
 */
#include "store/migrate.h"

#include <time.h>

#include "host/fault.h"

enum { LOCK_TRIES = 300, LOCK_PAUSE_MS = 200 };

static enum status failed(struct db *db, struct arena *a, const char *what, const char **problem)
{
	*problem = arena_printf(a, "%s: %s", what, db_error(db));
	enum db_failure f = db_failure(db);
	return f == DB_AWAY || f == DB_TRANSIENT ? STATUS_UNAVAILABLE : STATUS_INTERNAL;
}

/* Reads one number; NULL reads as 0. */
static int read_number(struct db *db, struct arena *a, const char *sql, int64_t *number)
{
	struct db_rows rows;
	if (db_query(db, a, sql, &rows) < 0)
		return -1;
	*number = rows.count ? db_row(&rows, 0)->number : 0;
	return 0;
}

static int read_version(struct db *db, struct arena *a, int *version)
{
	int64_t n = 0;
	if (read_number(db, a,
			"SELECT COUNT(*) FROM information_schema.tables "
			"WHERE table_schema = DATABASE() AND table_name = 'schema_migrations'",
			&n) < 0)
		return -1;
	if (n && read_number(db, a, "SELECT MAX(version) FROM schema_migrations", &n) < 0)
		return -1;
	*version = (int)n;
	return 0;
}

enum status migrate_read_version(struct db *db, struct arena *a, struct migrations *m, const char **problem)
{
	m->wanted = m->count ? m->files[m->count - 1].version : 0;
	if (read_version(db, a, &m->version) < 0)
		return failed(db, a, "schema version", problem);
	return STATUS_OK;
}

/* Polls, because a wait in the server could exceed the connection's timeout. */
static enum status take_lock(struct db *db, struct arena *a, const char **problem)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	for (int i = 0; i < LOCK_TRIES; i++) {
		int64_t taken;
		if (read_number(db, a, "SELECT GET_LOCK(CONCAT('seckill.', MD5(DATABASE())), 0)", &taken) < 0)
			return failed(db, a, "migration lock", problem);
		if (taken)
			return STATUS_OK;
		nanosleep(&pause, NULL);
	}
	*problem = "another process migrates this schema: wait for its end, then try again";
	return STATUS_UNAVAILABLE;
}

/* The writes of a file and its record are one transaction, unless the file has DDL. */
static enum status apply_file(struct db *db, struct arena *a, const struct sql_file *f, const char **problem)
{
	FAULT(migrate_locked);
	if (db_script(db, str_of(f->text)) < 0)
		return failed(db, a, f->name, problem);
	FAULT(migrate_applied);
	if (db_exec(db, "INSERT INTO schema_migrations (version, name) VALUES (?, ?)", NULL, DB_N(f->version),
		    DB_S(str_of(f->name))) < 0)
		return failed(db, a, f->name, problem);
	FAULT(migrate_recorded);
	if (db_script(db, STR("COMMIT AND CHAIN")) < 0)
		return failed(db, a, f->name, problem);
	return STATUS_OK;
}

static enum status apply_newer(struct db *db, struct arena *a, struct migrations *m, const char **problem)
{
	for (int i = 0; i < m->count; i++) {
		if (m->files[i].version <= m->version)
			continue;
		enum status status = apply_file(db, a, &m->files[i], problem);
		if (status != STATUS_OK)
			return status;
		m->version = m->files[i].version;
		m->applied++;
	}
	return STATUS_OK;
}

/* Call it inside the transaction that keeps the connection open. */
static enum status migrate_under_lock(struct db *db, struct arena *a, struct migrations *m, const char **problem)
{
	enum status status = take_lock(db, a, problem);
	if (status == STATUS_OK)
		status = migrate_read_version(db, a, m, problem);
	if (status == STATUS_OK)
		status = apply_newer(db, a, m, problem);
	if (status == STATUS_OK && db_commit(db) < 0)
		status = failed(db, a, "migration", problem);
	return status;
}

enum status migrate(struct db *db, struct arena *a, struct migrations *m, const char **problem)
{
	m->applied = m->version = 0;
	if (db_begin_long(db) < 0)
		return failed(db, a, "migration", problem);
	enum status status = migrate_under_lock(db, a, m, problem);
	db_rollback(db);
	db_close(db); /* releases the lock in any case */
	return status;
}
