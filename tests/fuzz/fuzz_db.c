/*
 * Statements and results of MySQL, through src/mysql. Each statement takes 12 bytes of the input: how many parameters,
 * columns, described columns and rows there are, of which kind and size, and what fails. For every input the statement
 * ends, its rows can be read as far as value.h promises, and a sound answer is read afterwards.
 */
#include "fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/parse.h"
#include "unit/fake_mysql.h"

enum { STEP = 12, PARAMS = 2, COLUMNS = 3 };

static void sound(int rows)
{
	fake_mysql = (struct fake_mysql){ .params = PARAMS,
					  .columns = COLUMNS,
					  .described = COLUMNS,
					  .rows = rows,
					  .fetched = rows,
					  .number = 7,
					  .type = MYSQL_TYPE_LONG };
}

/* A quarter of all bytes leaves things as they are: else nothing would get far. */
static void plan(const uint8_t *b)
{
	static const int64_t numbers[] = { 0, -1, 255, INT32_MAX, NUMBER_MAX, NUMBER_MAX + 1, INT64_MAX, INT64_MIN };
	static const unsigned long lengths[] = { 0, 1, 63, 64, 65, 1000, 5000, (16 << 20) + 1, UINT32_MAX };
	static const enum enum_field_types types[] = { MYSQL_TYPE_TINY,  MYSQL_TYPE_LONGLONG,   MYSQL_TYPE_NEWDECIMAL,
						       MYSQL_TYPE_BLOB,  MYSQL_TYPE_VAR_STRING, MYSQL_TYPE_NULL,
						       MYSQL_TYPE_DOUBLE };
	static const unsigned errors[] = { 0, 1062, 1205, 1213, 1146, 2006, 2013, 1243, 9999 };
	sound(b[0] % 5);
	if (b[1] >= 192)
		fake_mysql.params = b[1] % 5;
	if (b[2] >= 192)
		fake_mysql.columns = fake_mysql.described = b[2] % 64;
	if (b[3] >= 192)
		fake_mysql.described = b[3] % 64;
	if (b[4] >= 192)
		fake_mysql.rows = numbers[b[4] % 8];
	if (b[5] >= 192)
		fake_mysql.fetched = b[5] % 5;
	fake_mysql.type = types[b[6] % 7];
	fake_mysql.number = numbers[b[7] % 8];
	fake_mysql.length = lengths[b[8] % 9];
	fake_mysql.no_result = b[9] >= 240;
	fake_mysql.is_null = b[9] % 8 == 1;
	fake_mysql.error = b[10] >= 128 ? errors[b[10] % 9] : 0;
	fake_mysql.error_at = b[10] % 7;
}

static int ask(struct db *db, struct arena *a, struct db_rows *rows, int how)
{
	static const char *const statements[] = { "SELECT a, b, c FROM t WHERE d = ? AND e = ?",
						  "SELECT f, g, h FROM t WHERE d = ? AND e = ?" };
	int64_t changed;
	if (how % 4 == 3)
		return db_exec(db, statements[how / 4 % 2], &changed, DB_N(1), DB_S(STR("x")));
	if (how % 4 == 2)
		return db_query_row(db, a, statements[how / 4 % 2], rows, DB_N(1), DB_S(STR("x")));
	return db_query(db, a, statements[how / 4 % 2], rows, DB_N(1), DB_S(STR("x")));
}

static void look_at(struct db *db, const struct db_rows *rows)
{
	int64_t n;
	for (int i = 0; i <= rows->count; i++)
		for (int c = 0; c < (i < rows->count ? rows->columns : DB_COLUMNS); c++) {
			const struct db_value *v = db_row(rows, i) + c;
			assert(v->text.p && (v->type == DB_TEXT || !v->text.n));
			assert(i < rows->count || (v->type == DB_NULL && !v->number));
			assert(v->number >= -NUMBER_MAX && v->number <= NUMBER_MAX);
			assert(db_int(db, v, 0, 255, &n) < 0 || (n >= 0 && n <= 255));
			if (v->text.n)
				assert(memchr(v->text.p, 'y', v->text.n) == NULL); /* reads all of it */
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf conf;
	struct arena a = { 0 };
	struct db_rows rows = { 0 };
	if (!conf.redis)
		conf_init(&conf);
	struct db *db = db_new(&conf);
	for (; size >= STEP; data += STEP, size -= STEP) {
		arena_reset(&a);
		plan(data);
		if (data[11] >= 224 && db_begin(db)) /* else the one before goes on */
			db_rollback(db);
		int failed = ask(db, &a, &rows, data[11]);
		assert(!failed || db_failure(db) != DB_NONE);
		if (data[11] % 4 != 3 && !failed)
			look_at(db, &rows);
		if (failed && data[11] % 2)
			db_rollback(db);
	}
	db_rollback(db);
	sound(2);
	int failed = ask(db, &a, &rows, 0);
	if (failed) /* the statement was prepared when MySQL counted otherwise: it is prepared anew now */
		failed = ask(db, &a, &rows, 0);
	assert(!failed && rows.count == 2 && db_row(&rows, 1)[2].number == 7);
	db_free(db);
	assert(fake_mysql_open_statements() == 0);
	arena_release(&a);
	return 0;
}
