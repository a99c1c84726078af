/*
 * The lock (GET_LOCK) belongs to the connection, so a connection that is
 * silently made again would go on without it. Inside a transaction db.h never
 * reconnects: that, more than atomicity, is why one is open all the time (DDL
 * commits by itself on both servers).
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

/* One number; 0 when it is NULL. */
static int ask(struct db *db, struct arena *a, const char *sql, int64_t *number)
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
	if (ask(db, a,
		"SELECT COUNT(*) FROM information_schema.tables "
		"WHERE table_schema = DATABASE() AND table_name = 'schema_migrations'",
		&n) < 0)
		return -1;
	if (n && ask(db, a, "SELECT MAX(version) FROM schema_migrations", &n) < 0)
		return -1;
	*version = (int)n;
	return 0;
}

enum status migrate_look(struct db *db, struct arena *a, const struct sql_file *files, int count, struct migration *m,
			 const char **problem)
{
	*m = (struct migration){ .wanted = count ? files[count - 1].version : 0 };
	if (read_version(db, a, &m->version) < 0)
		return failed(db, a, "schema version", problem);
	return STATUS_OK;
}

/* Asked again and again instead of waiting in the server: a wait there could outlast the connection's timeout. */
static enum status take_lock(struct db *db, struct arena *a, const char **problem)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	for (int i = 0; i < LOCK_TRIES; i++) {
		int64_t taken;
		if (ask(db, a, "SELECT GET_LOCK(CONCAT('seckill.', MD5(DATABASE())), 0)", &taken) < 0)
			return failed(db, a, "migration lock", problem);
		if (taken)
			return STATUS_OK;
		nanosleep(&pause, NULL);
	}
	*problem = "another process holds the migration lock";
	return STATUS_UNAVAILABLE;
}

/* What a file writes to tables and its record are one transaction, as far as the file has no DDL in it. */
static enum status apply(struct db *db, struct arena *a, const struct sql_file *f, const char **problem)
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

static enum status apply_newer(struct db *db, struct arena *a, const struct sql_file *files, int count,
			       struct migration *m, const char **problem)
{
	for (int i = 0; i < count; i++) {
		if (files[i].version <= m->version)
			continue;
		enum status status = apply(db, a, &files[i], problem);
		if (status != STATUS_OK)
			return status;
		m->version = files[i].version;
		m->applied++;
	}
	return STATUS_OK;
}

/* On the connection that db_begin_long pinned. */
static enum status run_locked(struct db *db, struct arena *a, const struct sql_file *files, int count,
			      struct migration *m, const char **problem)
{
	enum status status = take_lock(db, a, problem);
	if (status == STATUS_OK)
		status = migrate_look(db, a, files, count, m, problem);
	if (status == STATUS_OK)
		status = apply_newer(db, a, files, count, m, problem);
	if (status == STATUS_OK && db_commit(db) < 0)
		status = failed(db, a, "migration", problem);
	return status;
}

enum status migrate(struct db *db, struct arena *a, const struct sql_file *files, int count, struct migration *m,
		    const char **problem)
{
	*m = (struct migration){ 0 };
	if (db_begin_long(db) < 0)
		return failed(db, a, "migration", problem);
	enum status status = run_locked(db, a, files, count, m, problem);
	db_rollback(db);
	db_close(db); /* gives the lock back, whatever happened */
	return status;
}
