#include "sale/cursors.h"

#include "base/parse.h"
#include "sale/db_status.h"

#define SELECT_CURSORS "SELECT segment, base, next_number FROM drain_cursors WHERE coupon_id = ?"

static int take_row(struct db *db, const struct db_value *row, struct cursor *cursor)
{
	cursor->exists = true;
	return db_int(db, &row[1], 0, NUMBER_MAX, &cursor->base) || db_int(db, &row[2], 1, NUMBER_MAX, &cursor->next)
		       ? -1
		       : 0;
}

/* Ignores rows of segments that the coupon does not have. */
static int take_rows(struct db *db, const struct db_rows *rows, int segments, struct cursor *cursors)
{
	for (int i = 0; i < segments; i++)
		cursors[i] = (struct cursor){ 0, 1, false };
	for (int i = 0; i < rows->count; i++) {
		int64_t segment;
		if (db_int(db, &db_row(rows, i)[0], 0, INT32_MAX, &segment) ||
		    (segment < segments && take_row(db, db_row(rows, i), &cursors[segment])))
			return -1;
	}
	return 0;
}

static int take_first(struct db *db, const struct db_rows *rows, struct cursor *cursor)
{
	*cursor = (struct cursor){ 0, 1, false };
	return rows->count ? take_row(db, db_row(rows, 0), cursor) : 0;
}

enum status cursors_read(struct service *svc, struct arena *a, int64_t coupon, int segments, struct cursor *cursors)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SELECT_CURSORS, &rows, DB_N(coupon)) || take_rows(svc->db, &rows, segments, cursors))
		return db_status(svc->db, "cursors");
	return STATUS_OK;
}

int cursor_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct cursor *cursor)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SELECT_CURSORS " AND segment = ?", &rows, DB_N(coupon), DB_N(segment)))
		return -1;
	return take_first(svc->db, &rows, cursor);
}

int cursors_lock(struct service *svc, struct arena *a, int64_t coupon, int segments, struct cursor *cursors)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SELECT_CURSORS " ORDER BY segment FOR UPDATE", &rows, DB_N(coupon)))
		return -1;
	return take_rows(svc->db, &rows, segments, cursors);
}

int cursor_lock(struct service *svc, struct arena *a, int64_t coupon, int segment, struct cursor *cursor)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SELECT_CURSORS " AND segment = ? FOR UPDATE", &rows, DB_N(coupon), DB_N(segment)))
		return -1;
	return take_first(svc->db, &rows, cursor);
}
