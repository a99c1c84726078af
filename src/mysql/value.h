/* Parameters and results of statements. Callers include mysql/db.h. */
#ifndef MYSQL_VALUE_H
#define MYSQL_VALUE_H

#include "base/arena.h"
#include "base/parse.h"

/* In results, whole numbers (also the decimals of SUM and similar functions) are DB_INT, all other values DB_TEXT. */
enum db_type { DB_NULL, DB_INT, DB_TEXT };

struct db_value {
	enum db_type type;
	int64_t number;
	struct str text;
};

#define DB_N(value) ((struct db_value){ .type = DB_INT, .number = (int64_t)(value) })
#define DB_S(value) ((struct db_value){ .type = DB_TEXT, .text = (value) })
#define DB_NIL      ((struct db_value){ .type = DB_NULL })

/*
 * The rows of a result, in the caller's arena. The values of a row may be read up to column DB_COLUMNS: a row or a
 * column that the server did not send is DB_NULL. The text of DB_NULL and DB_INT is empty, never NULL. Whole numbers
 * are within NUMBER_MAX; a result with a larger one is an error.
 */
enum { DB_COLUMNS = 48 };

struct db_rows {
	int count, columns;
	const struct db_value *values;
};

static inline const struct db_value *db_row(const struct db_rows *rows, int i)
{
	return rows->values + (size_t)i * (size_t)rows->columns;
}

/*
 * A statement with `count` parameters. Texts are sent as bytes, without a character set. `rows` may be NULL; `arena`
 * owns the rows. *affected, which may be NULL, gets the number of rows that were changed; a row that already had the
 * values of an UPDATE does not count.
 */
struct db_statement {
	const char *sql;
	const struct db_value *params;
	int count;
	struct arena *arena;
	struct db_rows *rows;
	int64_t *affected;
};

#endif
