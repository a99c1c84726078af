#include "sale/ranges.h"

#include "base/parse.h"
#include "sale/cursors.h"
#include "sale/db_status.h"

static void count_before(struct ranges *r)
{
	int64_t before = 0;
	for (int i = 0; i < r->count; i++) {
		r->before[i] = before;
		before += r->at[i].count;
	}
}

static void allocate_ranges(struct arena *a, struct ranges *r, int count)
{
	*r = (struct ranges){ .at = arena_alloc(a, (size_t)count * sizeof *r->at),
			      .before = arena_alloc(a, (size_t)count * sizeof *r->before),
			      .count = count };
}

static int read_ranges(struct service *svc, struct arena *a, int64_t coupon, int segment, struct ranges *r)
{
	struct db_rows rows;
	struct cursor cursor;
	if (cursor_read(svc, a, coupon, segment, &cursor) ||
	    db_query(
		    svc->db, a,
		    "SELECT base, count FROM number_ranges WHERE coupon_id = ? AND segment = ? AND base < ? ORDER BY base",
		    &rows, DB_N(coupon), DB_N(segment), DB_N(cursor.base)))
		return -1;
	allocate_ranges(a, r, rows.count + 1);
	for (int i = 0; i < rows.count; i++)
		if (db_int(svc->db, &db_row(&rows, i)[0], 0, NUMBER_MAX, &r->at[i].base) ||
		    db_int(svc->db, &db_row(&rows, i)[1], 0, NUMBER_MAX, &r->at[i].count))
			return -1;
	r->at[rows.count] = (struct range){ cursor.base, cursor.next - 1 - cursor.base };
	count_before(r);
	return 0;
}

enum status ranges_read(struct service *svc, struct arena *a, int64_t coupon, int segment, struct ranges *r)
{
	return read_ranges(svc, a, coupon, segment, r) ? db_status(svc->db, "ranges") : STATUS_OK;
}

/* The index of the last range whose base is below the number; -1: there is none. */
static int index_of(const struct ranges *r, int64_t number)
{
	int low = 0, high = r->count;
	while (low < high) {
		int middle = (low + high) / 2;
		if (r->at[middle].base < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

struct range ranges_of(const struct ranges *r, int64_t number)
{
	int i = index_of(r, number);
	int64_t base = numbers_base(number);
	return i >= 0 && base <= r->at[i].base + r->at[i].count ? r->at[i] : (struct range){ base, 0 };
}

void ranges_put(struct arena *a, struct ranges *r, struct range range)
{
	struct ranges old = *r;
	int place = index_of(r, range.base) + 1;
	if (place == old.count || old.at[place].base != range.base) {
		allocate_ranges(a, r, old.count + 1);
		memcpy(r->at, old.at, (size_t)place * sizeof *r->at);
		memcpy(r->at + place + 1, old.at + place, (size_t)(old.count - place) * sizeof *r->at);
	}
	r->at[place] = range;
	count_before(r);
}

int64_t ranges_total(const struct ranges *r)
{
	return r->before[r->count - 1] + r->at[r->count - 1].count;
}

int64_t ranges_place(const struct ranges *r, int64_t number)
{
	int i = index_of(r, number);
	return i >= 0 && number <= r->at[i].base + r->at[i].count ? r->before[i] + number - r->at[i].base - 1 : -1;
}

int64_t ranges_number(const struct ranges *r, int64_t place)
{
	int low = 0, high = r->count; /* to the first range that ends behind the place */
	while (low < high) {
		int middle = (low + high) / 2;
		if (r->before[middle] + r->at[middle].count <= place)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->count ? r->at[low].base + 1 + place - r->before[low] : 0;
}
