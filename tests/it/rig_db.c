/* The statements of src/catalog/launch.c and src/catalog/supply.c are known by how they begin; any other one is a fault. */
#include "it/rig_db.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
	int64_t id, amount, ends_ms, segments, cancelled;
} coupon;

void rig_db_cancel(void)
{
	coupon.cancelled++;
}

int64_t rig_db_units(void)
{
	return coupon.amount + coupon.cancelled;
}

static void insert(const struct db_value *p)
{
	coupon.id = p[0].number;
	coupon.amount = p[3].number;
	coupon.ends_ms = p[7].number;
	coupon.segments = p[8].number;
	coupon.cancelled = 0;
}

static void add(const struct db_value *p)
{
	coupon.amount += p[0].number;
}

static void change(const struct db_value *p)
{
	(void)p;
}

enum row { ROW_NONE, ROW_ONE, ROW_SUPPLY, ROW_SETTINGS };

static const struct {
	const char *begins;
	void (*run)(const struct db_value *params);
	enum row row;
} statements[] = {
	{ "INSERT INTO coupons (id, seller_id, name, amount, stock, description, starts_at_ms, ends_at_ms, ", insert, ROW_NONE },
	{ "SELECT id FROM users WHERE id = ? FOR UPDATE", change, ROW_ONE },
	{ "UPDATE coupons SET published = 1", change, ROW_NONE },
	{ "UPDATE coupons SET amount = amount + ?", add, ROW_NONE },
	{ "SELECT c.id, c.generation, c.amount, c.cancelled, ", change, ROW_SUPPLY },
	{ "SELECT id FROM coupons WHERE id = ? FOR UPDATE", change, ROW_ONE },
	{ "SELECT c.id, c.seller_id, c.generation, c.segments, ", change, ROW_SETTINGS },
};

enum { NUMBERS_MAX = 25 };

/* The columns of catalog/supply.c. Returns their number. */
static int supply_row(int64_t v[NUMBERS_MAX])
{
	v[0] = coupon.id;
	v[1] = 1; /* generation */
	v[2] = coupon.amount;
	v[3] = coupon.cancelled;
	v[8] = coupon.ends_ms;
	v[9] = coupon.segments;
	return 12;
}

/* The columns of catalog/settings.c; the last five are texts. */
static int settings_row(int64_t v[NUMBERS_MAX])
{
	v[0] = coupon.id;
	v[1] = v[2] = 1; /* seller, generation */
	v[3] = coupon.segments;
	v[6] = 1; /* every slot has the state */
	v[8] = coupon.ends_ms;
	v[10] = coupon.amount;
	v[14] = 1; /* limit */
	return 25;
}

static void put_row(struct arena *a, struct db_rows *rows, enum row row)
{
	int64_t v[NUMBERS_MAX] = { 1 };
	int columns = row == ROW_SUPPLY ? supply_row(v) : row == ROW_SETTINGS ? settings_row(v) : 1;
	struct db_value *values = arena_alloc(a, DB_COLUMNS * sizeof *values);
	*rows = (struct db_rows){ .count = 1, .columns = columns, .values = values };
	for (int i = 0; i < columns; i++)
		values[i] = DB_N(v[i]);
}

int db_run(struct db *db, const struct db_statement *st)
{
	(void)db;
	for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
		if (strncmp(st->sql, statements[i].begins, strlen(statements[i].begins)) != 0)
			continue;
		statements[i].run(st->params);
		if (st->rows)
			put_row(st->arena, st->rows, statements[i].row);
		if (st->affected)
			*st->affected = 1;
		return 0;
	}
	fprintf(stderr, "rig: a statement that it does not know: %s\n", st->sql);
	exit(1);
}

int db_has_row(struct db *db, const struct db_rows *rows)
{
	(void)db;
	return rows->count ? 0 : -1;
}

int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number)
{
	(void)db;
	if (v->number < min || v->number > max)
		return -1;
	*number = v->number;
	return 0;
}

int db_begin(struct db *db)
{
	(void)db;
	return 0;
}

int db_begin_long(struct db *db)
{
	return db_begin(db);
}

int db_commit(struct db *db)
{
	(void)db;
	return 0;
}

void db_rollback(struct db *db)
{
	(void)db;
}

enum db_failure db_failure(const struct db *db)
{
	(void)db;
	return DB_NONE;
}

const char *db_error(const struct db *db)
{
	(void)db;
	return "";
}

int db_lock(struct db *db, struct arena *arena, struct str name, int wait_s, bool *got)
{
	(void)db, (void)arena, (void)name, (void)wait_s;
	*got = true;
	return 0;
}

void db_unlock(struct db *db, struct arena *arena, struct str name)
{
	(void)db, (void)arena, (void)name;
}
