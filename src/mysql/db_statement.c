/*
 * Statements are prepared once per connection and found again by their text. What the server says of one, its
 * parameters, columns and rows, is compared with what we sent and have room for: a server that errs there is not
 * asked again on this connection.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "mysql/db_connection.h"

static const struct db_value nothing[DB_COLUMNS] = { [0 ... DB_COLUMNS - 1] = { .type = DB_NULL, .text = { "", 0 } } };

/* The server's answer cannot be what it seems. */
static int distrust(struct db *db, const char *problem)
{
	return db_fail(db, DB_AWAY, 0, problem);
}

int db_has_row(struct db *db, const struct db_rows *rows)
{
	return rows->count > 0 ? 0 : distrust(db, "MySQL sent no row where there is always one");
}

int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number)
{
	if (v->type != DB_INT || v->number < min || v->number > max)
		return db_fail(db, DB_BROKEN, 0, "a number in MySQL is out of its bounds");
	*number = v->number;
	return 0;
}

static void statement_forget(struct statement *s)
{
	if (!s->stmt)
		return;
	mysql_stmt_close(s->stmt);
	free(s->sql);
	free(s->binds);
	*s = (struct statement){ 0 };
}

void statements_forget(struct db *db)
{
	for (int i = 0; i < STATEMENTS; i++)
		statement_forget(&db->statements[i]);
}

static int fail_statement(struct db *db, MYSQL_STMT *stmt)
{
	unsigned number = mysql_stmt_errno(stmt);
	db_fail(db, db_classify(number), number, mysql_stmt_error(stmt));
	if (db->mysql)
		mysql_stmt_free_result(stmt); /* what is left of it must not meet the next command */
	return -1;
}

/* FNV-1a: short, and the texts are our own. */
static uint64_t hash_of(const char *s)
{
	uint64_t h = 14695981039346656037u;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

static struct statement *statement_find(struct db *db, const char *sql, uint64_t hash)
{
	for (int i = 0; i < STATEMENTS; i++) {
		struct statement *s = &db->statements[i];
		if (s->stmt && s->hash == hash && strcmp(s->sql, sql) == 0)
			return s;
	}
	return NULL;
}

/* The place unused for longest, emptied. */
static struct statement *statement_place(struct db *db)
{
	struct statement *oldest = &db->statements[0];
	for (int i = 1; i < STATEMENTS; i++)
		if (db->statements[i].last_use < oldest->last_use)
			oldest = &db->statements[i];
	statement_forget(oldest);
	return oldest;
}

/* NULL, with the reason kept. */
static MYSQL_STMT *prepare(struct db *db, const char *sql)
{
	MYSQL_STMT *stmt = mysql_stmt_init(db->mysql);
	if (!stmt)
		abort();
	if (mysql_stmt_prepare(stmt, sql, strlen(sql))) {
		unsigned number = mysql_stmt_errno(stmt);
		char text[256];
		snprintf(text, sizeof text, "%s", mysql_stmt_error(stmt));
		mysql_stmt_close(stmt); /* before fail, which may close the connection under it */
		db_fail(db, db_classify(number), number, text);
		return NULL;
	}
	return stmt;
}

int db_may(struct db *db, const char *sql)
{
	if (db_open(db) < 0)
		return -1;
	MYSQL_STMT *stmt = prepare(db, sql);
	if (!stmt)
		return -1;
	mysql_stmt_close(stmt);
	return 0;
}

static struct statement *statement_prepare(struct db *db, const char *sql, uint64_t hash)
{
	MYSQL_STMT *stmt = prepare(db, sql);
	if (!stmt)
		return NULL;
	struct statement *s = statement_place(db);
	*s = (struct statement){
		.stmt = stmt, .sql = strdup(sql), .hash = hash, .params = (int)mysql_stmt_param_count(stmt)
	};
	s->binds = calloc((size_t)s->params + 1, sizeof *s->binds);
	if (!s->sql || !s->binds)
		abort();
	return s;
}

static struct statement *statement_get(struct db *db, const char *sql)
{
	uint64_t hash = hash_of(sql);
	struct statement *s = statement_find(db, sql, hash);
	if (!s)
		s = statement_prepare(db, sql, hash);
	if (s)
		s->last_use = ++db->uses;
	return s;
}

/* As BLOB, which is "bytes": no character set in between can refuse or change a text. */
static void bind_value(MYSQL_BIND *b, const struct db_value *v)
{
	*b = (MYSQL_BIND){ .buffer_type = MYSQL_TYPE_NULL };
	if (v->type == DB_INT) {
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->buffer = (void *)(uintptr_t)&v->number;
	} else if (v->type == DB_TEXT) {
		b->buffer_type = MYSQL_TYPE_BLOB;
		b->buffer = (void *)(uintptr_t)(v->text.p ? v->text.p : "");
		b->buffer_length = v->text.n;
	}
}

static int execute(struct db *db, struct statement *s, const struct db_value *params, int count)
{
	if (count != s->params)
		return distrust(db, "MySQL counts other parameters in a statement than it has");
	for (int i = 0; i < count; i++)
		bind_value(&s->binds[i], &params[i]);
	if ((count && mysql_stmt_bind_param(s->stmt, s->binds)) || mysql_stmt_execute(s->stmt))
		return fail_statement(db, s->stmt);
	return 0;
}

enum { SHORT_TEXT = 64, ROWS_MAX = 1 << 24 };

struct column {
	bool whole; /* a whole number */
	int64_t number;
	char text[SHORT_TEXT]; /* its beginning */
	unsigned long length;
	FLAG is_null, error;
};

static bool is_whole(const MYSQL_FIELD *f)
{
	switch (f->type) {
	case MYSQL_TYPE_TINY:
	case MYSQL_TYPE_SHORT:
	case MYSQL_TYPE_INT24:
	case MYSQL_TYPE_LONG:
	case MYSQL_TYPE_LONGLONG:
	case MYSQL_TYPE_YEAR:
		return true;
	case MYSQL_TYPE_NEWDECIMAL:
		return f->decimals == 0;
	default:
		return false;
	}
}

/* A text that has no room here is fetched again, by its length, into memory of just that size. */
static void bind_column(MYSQL_BIND *b, struct column *c, const MYSQL_FIELD *f)
{
	c->whole = is_whole(f);
	*b = (MYSQL_BIND){ .buffer_type = MYSQL_TYPE_STRING,
			   .buffer = c->text,
			   .buffer_length = sizeof c->text,
			   .length = &c->length,
			   .is_null = &c->is_null,
			   .error = &c->error };
	if (c->whole) {
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->buffer = &c->number;
	}
}

/* How many there are; -1, and it has failed. */
static int bind_columns(struct db *db, struct statement *s, struct arena *arena, struct column **columns)
{
	MYSQL_RES *meta = mysql_stmt_result_metadata(s->stmt);
	if (!meta)
		return fail_statement(db, s->stmt);
	unsigned n = mysql_num_fields(meta);
	const MYSQL_FIELD *fields = mysql_fetch_fields(meta);
	bool well = fields && n > 0 && n <= DB_COLUMNS && n == mysql_stmt_field_count(s->stmt);
	MYSQL_BIND *binds = arena_alloc(arena, DB_COLUMNS * sizeof *binds);
	*columns = arena_alloc(arena, DB_COLUMNS * sizeof **columns);
	for (unsigned i = 0; well && i < n; i++)
		bind_column(&binds[i], &(*columns)[i], &fields[i]);
	mysql_free_result(meta);
	if (!well)
		return distrust(db, "MySQL sent other columns than it announced");
	return mysql_stmt_bind_result(s->stmt, binds) ? fail_statement(db, s->stmt) : (int)n;
}

static bool fetch_text(MYSQL_STMT *stmt, unsigned i, char *to, unsigned long length)
{
	unsigned long got;
	FLAG is_null, error;
	MYSQL_BIND b = { .buffer_type = MYSQL_TYPE_STRING,
			 .buffer = to,
			 .buffer_length = length,
			 .length = &got,
			 .is_null = &is_null,
			 .error = &error };
	return !mysql_stmt_fetch_column(stmt, &b, i, 0);
}

static int read_value(struct db *db, MYSQL_STMT *stmt, struct arena *arena, const struct column *c, unsigned i,
		      struct db_value *v)
{
	*v = nothing[0];
	if (c->is_null)
		return 0;
	if (c->whole) {
		v->type = DB_INT;
		v->number = c->number;
		return db_int(db, v, -NUMBER_MAX, NUMBER_MAX, &v->number);
	}
	if (c->length > PACKET_MAX)
		return distrust(db, "MySQL sent a text that is too long");
	bool fits = c->length <= sizeof c->text;
	char *text = arena_alloc(arena, c->length + 1);
	if (fits)
		memcpy(text, c->text, c->length);
	*v = DB_S(((struct str){ text, c->length }));
	return fits || fetch_text(stmt, i, text, c->length) ? 0 : fail_statement(db, stmt);
}

static int fetch_row(struct db *db, struct statement *s, struct arena *arena, struct column *columns, int n,
		     struct db_value *values)
{
	int result = mysql_stmt_fetch(s->stmt);
	if (result == MYSQL_NO_DATA)
		return distrust(db, "MySQL sent fewer rows than it counted");
	if (result != 0 && result != MYSQL_DATA_TRUNCATED) /* truncated: long texts, see read_value */
		return fail_statement(db, s->stmt);
	for (int i = 0; i < n; i++)
		if (read_value(db, s->stmt, arena, &columns[i], (unsigned)i, &values[i]) < 0)
			return -1;
	return 0;
}

static int fetch_rows(struct db *db, struct statement *s, struct arena *arena, struct db_rows *rows)
{
	struct column *columns = NULL;
	int width = bind_columns(db, s, arena, &columns);
	if (width < 0)
		return -1;
	if (mysql_stmt_store_result(s->stmt))
		return fail_statement(db, s->stmt);
	uint64_t count = mysql_stmt_num_rows(s->stmt);
	if (count > ROWS_MAX)
		return distrust(db, "MySQL sent too many rows");
	struct db_value *values = arena_alloc(arena, ((size_t)count * (size_t)width + DB_COLUMNS) * sizeof *values);
	memcpy(values + (size_t)count * (size_t)width, nothing, sizeof nothing);
	for (int i = 0; i < (int)count; i++)
		if (fetch_row(db, s, arena, columns, width, values + (size_t)i * (size_t)width) < 0)
			return -1;
	*rows = (struct db_rows){ .count = (int)count, .columns = width, .values = values };
	return 0;
}

int db_run(struct db *db, struct arena *arena, const char *sql, const struct db_value *params, int count,
	   struct db_rows *rows, int64_t *affected)
{
	if (rows)
		*rows = (struct db_rows){ .values = nothing };
	if (db_open(db) < 0)
		return -1;
	struct statement *s = statement_get(db, sql);
	if (!s || execute(db, s, params, count) < 0)
		return -1;
	int result = 0;
	if (mysql_stmt_field_count(s->stmt) == 0) {
		if (affected)
			*affected = (int64_t)mysql_stmt_affected_rows(s->stmt);
	} else if (rows) {
		result = fetch_rows(db, s, arena, rows);
	} else if (mysql_stmt_store_result(
			   s->stmt)) { /* an error may stand behind the last row: read it, wanted or not */
		result = fail_statement(db, s->stmt);
	}
	if (db->mysql) /* else the statement is gone with its connection */
		mysql_stmt_free_result(s->stmt);
	return result;
}
