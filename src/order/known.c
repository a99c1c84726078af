#include "order/known.h"

#include <stdlib.h>

#include "base/buf.h"
#include "order/dead_letter.h"

/* The list of numbers is padded with repeats to a power of two, so that few different statements are prepared. */
static int query(struct service *svc, struct arena *a, const char *select, const struct known_numbers *n,
		 struct db_rows *rows)
{
	enum { HEAD = 2 };
	struct buf sql;
	int size = 1;
	while (size < n->count)
		size *= 2;
	struct db_value *values = arena_alloc(a, (size_t)(HEAD + size) * sizeof *values);
	values[0] = DB_N(n->coupon);
	values[1] = DB_N(n->segment);
	buf_init(&sql, a);
	buf_puts(&sql, select);
	buf_puts(&sql, " WHERE coupon_id = ? AND segment = ? AND seq IN (");
	for (int i = 0; i < size; i++) {
		buf_puts(&sql, i ? ", ?" : "?");
		values[HEAD + i] = DB_N(n->at[i < n->count ? i : n->count - 1].number);
	}
	buf_puts(&sql, ") ORDER BY seq");
	return db_query_params(svc->db, a, sql.p, rows, values, HEAD + size);
}

static int by_number(const void *left, const void *right)
{
	const struct known *a = left, *b = right;
	return (a->number > b->number) - (a->number < b->number);
}

static struct known *find(const struct known_numbers *n, int64_t number)
{
	struct known key = { .number = number };
	return bsearch(&key, n->at, (size_t)n->count, sizeof key, by_number);
}

static void take_orders(struct known_numbers *n, const struct db_rows *rows)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		struct known *k = find(n, v[0].number);
		if (k)
			*k = (struct known){ .number = k->number, .user = v[1].number, .unit = (int)v[2].number };
	}
}

static void take_letters(struct known_numbers *n, const struct db_rows *rows)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		struct known *k = find(n, v[0].number);
		if (k && !k->may_revive) {
			k->letter = v[1].number;
			k->may_revive = v[2].number != 0;
		}
	}
}

int known_read(struct service *svc, struct arena *a, struct known_numbers *numbers)
{
	struct db_rows orders, letters;
	if (!numbers->count)
		return 0;
	if (query(svc, a, "SELECT seq, user_id, unit FROM orders", numbers, &orders) ||
	    query(svc, a, "SELECT seq, id, state = 0 AND " DEAD_IS_LOST " FROM dead_letters", numbers, &letters))
		return -1;
	take_orders(numbers, &orders);
	take_letters(numbers, &letters);
	return 0;
}
