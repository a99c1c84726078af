/* Statements are prepared once per connection and found again by their text. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/db_connection.h"

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
	assert(count == s->params);
	for (int i = 0; i < count; i++)
		bind_value(&s->binds[i], &params[i]);
	if ((count && mysql_stmt_bind_param(s->stmt, s->binds)) || mysql_stmt_execute(s->stmt))
		return fail_statement(db, s->stmt);
	return 0;
}

enum { SHORT_TEXT = 64 };

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

static int bind_columns(struct statement *s, struct arena *arena, struct column **columns)
{
	MYSQL_RES *meta = mysql_stmt_result_metadata(s->stmt);
	if (!meta)
		return -1;
	unsigned n = mysql_num_fields(meta);
	MYSQL_BIND *binds = arena_alloc(arena, n * sizeof *binds);
	*columns = arena_alloc(arena, n * sizeof **columns);
	for (unsigned i = 0; i < n; i++)
		bind_column(&binds[i], &(*columns)[i], &mysql_fetch_fields(meta)[i]);
	mysql_free_result(meta);
	return mysql_stmt_bind_result(s->stmt, binds) ? -1 : 0;
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

static bool read_value(MYSQL_STMT *stmt, struct arena *arena, const struct column *c, unsigned i, struct db_value *v)
{
	*v = DB_NIL;
	if (c->is_null)
		return true;
	if (c->whole) {
		*v = DB_N(c->number);
		return true;
	}
	bool fits = c->length <= sizeof c->text;
	char *text = arena_alloc(arena, c->length + 1);
	if (fits)
		memcpy(text, c->text, c->length);
	*v = DB_S(((struct str){ text, c->length }));
	return fits || fetch_text(stmt, i, text, c->length);
}

static int fetch_row(struct statement *s, struct arena *arena, struct column *columns, int n, struct db_value *values)
{
	int result = mysql_stmt_fetch(s->stmt);
	if (result != 0 && result != MYSQL_DATA_TRUNCATED) /* truncated: long texts, see read_value */
		return -1;
	for (int i = 0; i < n; i++)
		if (!read_value(s->stmt, arena, &columns[i], (unsigned)i, &values[i]))
			return -1;
	return 0;
}

static int fetch_rows(struct statement *s, struct arena *arena, struct db_rows *rows)
{
	struct column *columns;
	if (bind_columns(s, arena, &columns) < 0 || mysql_stmt_store_result(s->stmt))
		return -1;
	rows->columns = (int)mysql_stmt_field_count(s->stmt);
	int count = (int)mysql_stmt_num_rows(s->stmt);
	size_t width = (size_t)rows->columns;
	rows->values = arena_alloc(arena, (size_t)count * width * sizeof *rows->values);
	for (; rows->count < count; rows->count++)
		if (fetch_row(s, arena, columns, rows->columns, rows->values + (size_t)rows->count * width) < 0)
			return -1;
	return 0;
}

int db_run(struct db *db, struct arena *arena, const char *sql, const struct db_value *params, int count,
	   struct db_rows *rows, int64_t *affected)
{
	if (rows)
		*rows = (struct db_rows){ 0 };
	if (db_open(db) < 0)
		return -1;
	struct statement *s = statement_get(db, sql);
	if (!s || execute(db, s, params, count) < 0)
		return -1;
	if (mysql_stmt_field_count(s->stmt) > 0) {
		/* An error may stand behind the last row: a result is read to its end, wanted or not. */
		if (rows ? fetch_rows(s, arena, rows) < 0 : mysql_stmt_store_result(s->stmt))
			return fail_statement(db, s->stmt);
	} else {
		if (affected)
			*affected = (int64_t)mysql_stmt_affected_rows(s->stmt);
	}
	mysql_stmt_free_result(s->stmt);
	return 0;
}
