#include "fuzz/fake_db.h"

enum { COLUMNS = DB_COLUMNS };

static const uint8_t *plan;
static size_t planned, at;
static int commits;
static enum db_failure failure;

void fake_db_plan(const uint8_t *bytes, size_t count)
{
	plan = bytes;
	planned = count;
	at = 0;
	commits = 0;
	failure = DB_NONE;
}

int fake_db_commits(void)
{
	return commits;
}

/* The rows of the next statement, or -1. */
static int next(void)
{
	static const enum db_failure failures[] = { DB_DUPLICATE, DB_DATA, DB_TRANSIENT, DB_AWAY };
	int how = planned ? plan[at++ % planned] % 8 : 0;
	failure = how < 4 ? DB_NONE : failures[how - 4];
	return how < 4 ? how / 2 : -1;
}

int db_run(struct db *db, const struct db_statement *st)
{
	(void)db;
	int found = next();
	if (found < 0)
		return -1;
	if (st->affected)
		*st->affected = found;
	if (!st->rows)
		return 0;
	*st->rows = (struct db_rows){ .count = found, .columns = COLUMNS };
	struct db_value *values = arena_alloc(st->arena, COLUMNS * sizeof *values);
	st->rows->values = values;
	for (int i = 0; i < COLUMNS; i++)
		values[i] = (struct db_value){ .type = DB_INT, .number = 1, .text = STR("0123456789abcdef") };
	return 0;
}

int db_has_row(struct db *db, const struct db_rows *rows)
{
	(void)db;
	failure = rows->count ? DB_NONE : DB_AWAY;
	return rows->count ? 0 : -1;
}

int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number)
{
	(void)db;
	failure = v->number < min || v->number > max ? DB_BROKEN : DB_NONE;
	if (failure == DB_NONE)
		*number = v->number;
	return failure == DB_NONE ? 0 : -1;
}

int db_begin(struct db *db)
{
	(void)db;
	return next() < 0 ? -1 : 0;
}

int db_begin_long(struct db *db)
{
	return db_begin(db);
}

int db_commit(struct db *db)
{
	(void)db;
	if (next() < 0)
		return -1;
	commits++;
	return 0;
}

void db_rollback(struct db *db)
{
	(void)db;
}

int db_lock(struct db *db, struct arena *arena, struct str name, int wait_s, bool *got)
{
	(void)db, (void)arena, (void)name, (void)wait_s;
	int found = next();
	*got = found > 0;
	return found < 0 ? -1 : 0;
}

void db_unlock(struct db *db, struct arena *arena, struct str name)
{
	(void)db, (void)arena, (void)name;
}

int db_check_durable(struct db *db, struct arena *arena, const char **problem)
{
	(void)db, (void)arena;
	*problem = NULL;
	return next() < 0 ? -1 : 0;
}

enum db_failure db_failure(const struct db *db)
{
	(void)db;
	return failure;
}

const char *db_error(const struct db *db)
{
	(void)db;
	return failure ? "as planned" : "";
}

int db_may(struct db *db, const char *sql)
{
	(void)db, (void)sql;
	return next() < 0 ? -1 : 0;
}

int db_open(struct db *db)
{
	(void)db;
	return next() < 0 ? -1 : 0;
}

void db_close(struct db *db)
{
	(void)db;
}
