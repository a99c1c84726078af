#include "mysql/statement.h"

#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"

const struct db_value statement_nulls[DB_COLUMNS] = { [0 ... DB_COLUMNS - 1] = { .type = DB_NULL, .text = { "", 0 } } };

/* The server sent something wrong. DB_AWAY, so that the connection is closed. */
static int distrust(struct db_problem *p, const char *text)
{
	return problem_set(p, DB_AWAY, text);
}

static int statement_problem(MYSQL_STMT *stmt, struct db_problem *p)
{
	return problem_number(p, mysql_stmt_errno(stmt), mysql_stmt_error(stmt));
}

/* Preparing */

static void prepared_forget(struct prepared *one)
{
	if (!one->stmt)
		return;
	mysql_stmt_close(one->stmt);
	free(one->sql);
	free(one->binds);
	*one = (struct prepared){ 0 };
}

void statements_forget(struct statements *s)
{
	for (int i = 0; i < STATEMENTS; i++)
		prepared_forget(&s->places[i]);
}

/* FNV-1a, which is short, and safe because the texts are not from clients. */
static uint64_t hash_of(const char *s)
{
	uint64_t h = 14695981039346656037u;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

static struct prepared *prepared_find(struct statements *s, const char *sql, uint64_t hash)
{
	for (int i = 0; i < STATEMENTS; i++) {
		struct prepared *one = &s->places[i];
		if (one->stmt && one->hash == hash && strcmp(one->sql, sql) == 0)
			return one;
	}
	return NULL;
}

/* Empties the least recently used place, and returns it. */
static struct prepared *prepared_place(struct statements *s)
{
	struct prepared *oldest = &s->places[0];
	for (int i = 1; i < STATEMENTS; i++)
		if (s->places[i].last_use < oldest->last_use)
			oldest = &s->places[i];
	prepared_forget(oldest);
	return oldest;
}

/* NULL: failed, and *p is set. */
static MYSQL_STMT *prepare(MYSQL *m, const char *sql, struct db_problem *p)
{
	MYSQL_STMT *stmt = alloc_checked(mysql_stmt_init(m));
	if (!mysql_stmt_prepare(stmt, sql, strlen(sql)))
		return stmt;
	statement_problem(stmt, p);
	mysql_stmt_close(stmt);
	return NULL;
}

int statement_check(MYSQL *m, const char *sql, struct db_problem *p)
{
	MYSQL_STMT *stmt = prepare(m, sql, p);
	if (!stmt)
		return -1;
	mysql_stmt_close(stmt);
	return 0;
}

static struct prepared *prepared_new(struct statements *s, MYSQL *m, const char *sql, struct db_problem *p)
{
	MYSQL_STMT *stmt = prepare(m, sql, p);
	if (!stmt)
		return NULL;
	struct prepared *one = prepared_place(s);
	*one = (struct prepared){ .stmt = stmt, .hash = hash_of(sql), .params = (int)mysql_stmt_param_count(stmt) };
	one->sql = alloc_checked(strdup(sql));
	one->binds = alloc_zeroed((size_t)one->params, sizeof *one->binds);
	return one;
}

static struct prepared *prepared_get(struct statements *s, MYSQL *m, const char *sql, struct db_problem *p)
{
	struct prepared *one = prepared_find(s, sql, hash_of(sql));
	if (!one)
		one = prepared_new(s, m, sql, p);
	if (one)
		one->last_use = ++s->uses;
	return one;
}

/* Executing */

/* A text is sent as BLOB, that is as bytes, so that no character set can refuse or change it. */
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

static int execute(struct prepared *one, const struct db_statement *st, struct db_problem *p)
{
	if (st->count != one->params)
		return distrust(p, "MySQL counts other parameters in a statement than it has");
	for (int i = 0; i < st->count; i++)
		bind_value(&one->binds[i], &st->params[i]);
	if ((st->count && mysql_stmt_bind_param(one->stmt, one->binds)) || mysql_stmt_execute(one->stmt))
		return statement_problem(one->stmt, p);
	return 0;
}

/* The result */

enum { SHORT_TEXT = 64, ROWS_MAX = 1 << 24 };

struct column {
	bool is_whole; /* a whole number */
	int64_t number;
	char text[SHORT_TEXT]; /* the text, or its beginning */
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

/* A text longer than SHORT_TEXT is fetched again, once its length is known. */
static void bind_column(MYSQL_BIND *b, struct column *c, const MYSQL_FIELD *f)
{
	c->is_whole = is_whole(f);
	*b = (MYSQL_BIND){ .buffer_type = MYSQL_TYPE_STRING,
			   .buffer = c->text,
			   .buffer_length = sizeof c->text,
			   .length = &c->length,
			   .is_null = &c->is_null,
			   .error = &c->error };
	if (c->is_whole) {
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->buffer = &c->number;
	}
}

/* A result that is being read. */
struct result {
	MYSQL_STMT *stmt;
	struct arena *arena;
	struct db_problem *problem;
	struct column columns[DB_COLUMNS];
	int width;
};

static int bind_columns(struct result *r)
{
	MYSQL_BIND binds[DB_COLUMNS] = { 0 };
	MYSQL_RES *meta = mysql_stmt_result_metadata(r->stmt);
	if (!meta)
		return statement_problem(r->stmt, r->problem);
	unsigned n = mysql_num_fields(meta);
	const MYSQL_FIELD *fields = mysql_fetch_fields(meta);
	bool sound = fields && n > 0 && n <= DB_COLUMNS && n == mysql_stmt_field_count(r->stmt);
	for (unsigned i = 0; sound && i < n; i++)
		bind_column(&binds[i], &r->columns[i], &fields[i]);
	mysql_free_result(meta);
	if (!sound)
		return distrust(r->problem, "MySQL sent other columns than it announced");
	r->width = (int)n;
	return mysql_stmt_bind_result(r->stmt, binds) ? statement_problem(r->stmt, r->problem) : 0;
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

static int read_number(struct result *r, const struct column *c, struct db_value *v)
{
	if (c->number < -NUMBER_MAX || c->number > NUMBER_MAX)
		return problem_set(r->problem, DB_BROKEN, "a number in MySQL is out of its bounds");
	v->type = DB_INT;
	v->number = c->number;
	return 0;
}

static int read_text(struct result *r, const struct column *c, struct db_value *v)
{
	if (c->length > PACKET_MAX)
		return distrust(r->problem, "MySQL sent a text that is too long");
	char *text = arena_alloc(r->arena, c->length + 1);
	*v = DB_S(((struct str){ text, c->length }));
	if (c->length <= sizeof c->text)
		memcpy(text, c->text, c->length);
	else if (!fetch_text(r->stmt, (unsigned)(c - r->columns), text, c->length))
		return statement_problem(r->stmt, r->problem);
	return 0;
}

static int read_value(struct result *r, const struct column *c, struct db_value *v)
{
	*v = statement_nulls[0];
	if (c->is_null)
		return 0;
	return c->is_whole ? read_number(r, c, v) : read_text(r, c, v);
}

static int fetch_row(struct result *r, struct db_value *values)
{
	int result = mysql_stmt_fetch(r->stmt);
	if (result == MYSQL_NO_DATA)
		return distrust(r->problem, "MySQL sent fewer rows than it counted");
	if (result != 0 && result != MYSQL_DATA_TRUNCATED) /* truncated: a long text, see read_text */
		return statement_problem(r->stmt, r->problem);
	for (int i = 0; i < r->width; i++)
		if (read_value(r, &r->columns[i], &values[i]) < 0)
			return -1;
	return 0;
}

static int fetch_rows(struct result *r, struct db_rows *rows)
{
	if (bind_columns(r) < 0)
		return -1;
	if (mysql_stmt_store_result(r->stmt))
		return statement_problem(r->stmt, r->problem);
	uint64_t count = mysql_stmt_num_rows(r->stmt);
	if (count > ROWS_MAX)
		return distrust(r->problem, "MySQL sent too many rows");
	size_t size = (size_t)count * (size_t)r->width;
	struct db_value *values = arena_alloc(r->arena, (size + DB_COLUMNS) * sizeof *values);
	memcpy(values + size, statement_nulls, sizeof statement_nulls);
	for (uint64_t i = 0; i < count; i++)
		if (fetch_row(r, values + i * (size_t)r->width) < 0)
			return -1;
	*rows = (struct db_rows){ .count = (int)count, .columns = r->width, .values = values };
	return 0;
}

static int read_result(MYSQL_STMT *stmt, const struct db_statement *st, struct db_problem *p)
{
	bool has_rows = mysql_stmt_field_count(stmt) > 0;
	if (has_rows && st->rows) {
		struct result r = { .stmt = stmt, .arena = st->arena, .problem = p };
		return fetch_rows(&r, st->rows);
	}
	if (has_rows && mysql_stmt_store_result(stmt)) /* reads the rows, because an error may follow them */
		return statement_problem(stmt, p);
	if (!has_rows && st->affected)
		*st->affected = (int64_t)mysql_stmt_affected_rows(stmt);
	return 0;
}

int statement_run(struct statements *s, MYSQL *m, const struct db_statement *st, struct db_problem *p)
{
	struct prepared *one = prepared_get(s, m, st->sql, p);
	if (!one)
		return -1;
	int result = execute(one, st, p);
	if (result == 0)
		result = read_result(one->stmt, st, p);
	if (result == 0 || p->failure != DB_AWAY)
		mysql_stmt_free_result(one->stmt); /* rows that were not read would disturb the next command */
	return result;
}
