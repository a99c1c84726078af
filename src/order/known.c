#include "order/known.h"

#include <stdlib.h>

#include "base/buf.h"
#include "order/dead_letter.h"

/* Lists of numbers have a power of two of them, filled up with repeats: few statements to prepare. */
static int ask(struct service *svc, struct arena *a, const char *head, int64_t coupon, int segment,
	       const struct known *entries, int count, struct db_rows *rows)
{
	enum { HEAD = 2 };
	struct buf sql;
	int size = 1;
	while (size < count)
		size *= 2;
	struct db_value *values = arena_alloc(a, (size_t)(HEAD + size) * sizeof *values);
	values[0] = DB_N(coupon);
	values[1] = DB_N(segment);
	buf_init(&sql, a);
	buf_puts(&sql, head);
	buf_puts(&sql, " WHERE coupon_id = ? AND segment = ? AND seq IN (");
	for (int i = 0; i < size; i++) {
		buf_puts(&sql, i ? ", ?" : "?");
		values[HEAD + i] = DB_N(entries[i < count ? i : count - 1].number);
	}
	buf_puts(&sql, ") ORDER BY seq");
	return db_run(svc->db, a, sql.p, values, HEAD + size, rows, NULL);
}

static int by_number(const void *left, const void *right)
{
	const struct known *a = left, *b = right;
	return (a->number > b->number) - (a->number < b->number);
}

static struct known *find(struct known *entries, int count, int64_t number)
{
	struct known key = { .number = number };
	return bsearch(&key, entries, (size_t)count, sizeof key, by_number);
}

int known_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct known *entries, int count)
{
	struct db_rows orders, letters;
	if (!count)
		return 0;
	if (ask(svc, a, "SELECT seq, user_id FROM orders", coupon, segment, entries, count, &orders) ||
	    ask(svc, a, "SELECT seq, id, state = 0 AND " DEAD_IS_LOST " FROM dead_letters", coupon, segment, entries,
		count, &letters))
		return -1;
	for (int i = 0; i < orders.count; i++) {
		struct known *k = find(entries, count, db_row(&orders, i)->number);
		if (k)
			k->user = db_row(&orders, i)[1].number;
	}
	for (int i = 0; i < letters.count; i++) {
		const struct db_value *v = db_row(&letters, i);
		struct known *k = find(entries, count, v[0].number);
		if (k && !k->may_revive) {
			k->letter = v[1].number;
			k->may_revive = v[2].number != 0;
		}
	}
	return 0;
}
