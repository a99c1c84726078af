#include "waiting/entry_rows.h"

#include "base/buf.h"

/* A statement whose parameters are the coupon and the tickets of entries; always as many, so that it is prepared once.
 */

enum { PARAMS = ENTRIES_MOST + 1 };

static const char *with_tickets(struct arena *a, const char *head, const char *tail)
{
	struct buf sql;
	buf_init(&sql, a);
	buf_puts(&sql, head);
	for (int i = 0; i < ENTRIES_MOST; i++)
		buf_puts(&sql, i ? ", ?" : "?");
	buf_puts(&sql, tail);
	return buf_str(&sql).p;
}

static void put_tickets(struct db_value v[PARAMS], int64_t coupon, const struct entry *entries, int count)
{
	v[0] = DB_N(coupon);
	for (int i = 0; i < ENTRIES_MOST; i++)
		v[1 + i] = DB_N(entries[i < count ? i : 0].ticket);
}

static struct entry *find(struct entry *entries, int count, int64_t ticket)
{
	for (int i = 0; i < count; i++)
		if (entries[i].ticket == ticket)
			return &entries[i];
	return NULL;
}

int entry_rows_read(struct service *svc, struct arena *a, int64_t coupon, struct entry *entries, int count)
{
	struct db_rows rows;
	struct db_value v[PARAMS];
	put_tickets(v, coupon, entries, count);
	for (int i = 0; i < count; i++)
		entries[i].state = ENTRY_UNKNOWN;
	if (db_query_params(
		    svc->db, a,
		    with_tickets(a, "SELECT ticket, state FROM waiting_entries WHERE coupon_id = ? AND ticket IN (",
				 ")"),
		    &rows, v, PARAMS))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		struct entry *e = find(entries, count, db_row(&rows, i)[0].number);
		int64_t state;
		if (!e || db_int(svc->db, &db_row(&rows, i)[1], ENTRY_WAITS, ENTRY_ENDED, &state))
			return -1;
		e->state = (enum entry_state)state;
	}
	return 0;
}

int entry_rows_waiting(struct service *svc, struct arena *a, int64_t coupon, int64_t after, struct entry *entries)
{
	struct db_rows rows;
	if (db_query(
		    svc->db, a,
		    "SELECT ticket, user_id, unit, joined_at_ms FROM waiting_entries WHERE coupon_id = ? AND state = 0 "
		    "AND ticket > ? ORDER BY ticket LIMIT ?",
		    &rows, DB_N(coupon), DB_N(after), DB_N(ENTRIES_MOST)))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *row = db_row(&rows, i);
		int64_t unit;
		if (db_int(svc->db, &row[2], 1, UNITS_MAX, &unit))
			return -1;
		entries[i] = (struct entry){ .ticket = row[0].number,
					     .joined_ms = row[3].number,
					     .owner = { row[1].number, (int)unit },
					     .state = ENTRY_WAITS };
	}
	return rows.count;
}

/* Orders with these tickets. The index by customer finds them. */
static int find_promoted(struct service *svc, struct arena *a, int64_t coupon, struct entry *entries, int count)
{
	struct buf sql;
	struct db_rows rows;
	struct db_value v[2 * ENTRIES_MOST + 1];
	v[0] = DB_N(coupon);
	buf_init(&sql, a);
	buf_puts(&sql, "SELECT promotion FROM orders WHERE coupon_id = ? AND user_id IN (");
	for (int i = 0; i < ENTRIES_MOST; i++) {
		buf_puts(&sql, i ? ", ?" : "?");
		v[1 + i] = DB_N(entries[i < count ? i : 0].owner.user);
		v[1 + ENTRIES_MOST + i] = DB_N(entries[i < count ? i : 0].ticket);
	}
	buf_puts(&sql, ") AND promotion IN (");
	for (int i = 0; i < ENTRIES_MOST; i++)
		buf_puts(&sql, i ? ", ?" : "?");
	buf_puts(&sql, ")");
	if (db_query_params(svc->db, a, buf_str(&sql).p, &rows, v, 2 * ENTRIES_MOST + 1))
		return -1;
	for (int i = 0; i < rows.count; i++) {
		struct entry *e = find(entries, count, db_row(&rows, i)->number);
		if (e)
			e->state = ENTRY_PROMOTED;
	}
	return 0;
}

int entry_rows_insert(struct service *svc, struct arena *a, int64_t coupon, struct entry *entries, int count)
{
	enum { COLUMNS = 6 };
	struct buf sql;
	struct db_value v[COLUMNS * ENTRIES_MOST];
	struct entry fresh[ENTRIES_MOST];
	int n = 0, params = 0;
	if (entry_rows_read(svc, a, coupon, entries, count))
		return -1;
	for (int i = 0; i < count; i++)
		if (entries[i].state == ENTRY_UNKNOWN && !find(fresh, n, entries[i].ticket))
			fresh[n++] = entries[i];
	if (!n)
		return 0;
	if (find_promoted(svc, a, coupon, fresh, n))
		return -1;
	buf_init(&sql, a);
	buf_puts(&sql, "INSERT INTO waiting_entries (coupon_id, ticket, user_id, unit, joined_at_ms, state) VALUES ");
	for (int i = 0; i < n; i++) {
		const struct entry *e = &fresh[i];
		const struct db_value row[COLUMNS] = {
			DB_N(coupon),        DB_N(e->ticket),
			DB_N(e->owner.user), DB_N(e->owner.unit),
			DB_N(e->joined_ms),  DB_N(e->state == ENTRY_PROMOTED ? ENTRY_PROMOTED : ENTRY_WAITS)
		};
		buf_puts(&sql, i ? ", (?, ?, ?, ?, ?, ?)" : "(?, ?, ?, ?, ?, ?)");
		memcpy(v + params, row, sizeof row);
		params += COLUMNS;
	}
	return db_exec_params(svc->db, buf_str(&sql).p, NULL, v, params);
}

int entry_rows_set(struct service *svc, int64_t coupon, const struct entry *entries, int count, enum entry_state state)
{
	struct arena a = { 0 };
	struct db_value v[PARAMS + 1] = { DB_N(state) };
	if (!count)
		return 0;
	put_tickets(v + 1, coupon, entries, count);
	const char *sql = with_tickets(
		&a, "UPDATE waiting_entries SET state = ? WHERE coupon_id = ? AND state = 0 AND ticket IN (", ")");
	int failed = db_exec_params(svc->db, sql, NULL, v, PARAMS + 1);
	arena_release(&a);
	return failed;
}

int entry_rows_begin(struct service *svc, struct arena *a, int64_t coupon, bool *exists)
{
	struct db_rows rows;
	if (db_begin(svc->db) ||
	    db_query(svc->db, a, "SELECT id FROM coupons WHERE id = ? FOR UPDATE", &rows, DB_N(coupon)))
		return -1;
	*exists = rows.count > 0;
	return 0;
}
