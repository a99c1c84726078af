/*
 * Reads the orders that MySQL has and the segment lacks, because the segment's server lost their claims: rows, and
 * numbers of lost orders that hold a unit. inspection_mend writes them into the segment.
 */
#include <stdlib.h>

#include "inspect/inspection.h"
#include "order/dead_letter.h"
#include "order/known.h"
#include "sale/db_status.h"

static bool is_held(const struct missing_orders *missing, int64_t number)
{
	for (int i = 0; i < missing->held.count; i++)
		if (db_row(&missing->held, i)->number == number)
			return true;
	return false;
}

struct entry_call {
	struct inspection *in;
	struct slot *slot;
	struct missing_order *order;
};

static void on_entry(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct entry_call *call = context;
	if (outcome != REDIS_ANSWER)
		call->slot->away = call->in->away = true;
	redis_number_in(reply, 1, NUMBER_MAX, &call->order->entry);
}

static void read_entry(struct inspection *in, struct slot *s, int i, struct missing_order *order)
{
	struct redis_command c;
	struct entry_call *call = arena_alloc(in->arena, sizeof *call);
	*call = (struct entry_call){ in, s, order };
	redis_command(&c, "HGET");
	key_put(&c, KEY_OWNERS, in->coupon.id, i);
	owner_put(&c, (struct owner){ order->user, order->unit });
	redis_send(in->svc->redis_sync, &c, on_entry, call);
}

/* Merges rows and dead letters, both in ascending order. If a number has a row and a dead letter, the row counts. */
static void merge(struct inspection *in, struct slot *s, const struct db_rows *rows)
{
	struct missing_orders *missing = s->missing;
	const struct db_rows *held = &missing->held;
	missing->at = arena_alloc(in->arena, (size_t)(rows->count + held->count + 1) * sizeof *missing->at);
	for (int r = 0, h = 0; r < rows->count || h < held->count;) {
		int64_t row = r < rows->count ? db_row(rows, r)[0].number : NUMBER_MAX;
		int64_t letter = h < held->count ? db_row(held, h)->number : NUMBER_MAX;
		struct missing_order one = { .number = row < letter ? row : letter, .unit = 1, .units = 1 };
		if (row <= letter) {
			one.user = db_row(rows, r)[1].number;
			one.unit = (int)db_row(rows, r++)[2].number;
		}
		h += letter <= row;
		if (one.number > s->now.last)
			missing->at[missing->count++] = one;
	}
}

int64_t inspection_missing_units(const struct slot *s)
{
	int64_t units = 0;
	for (int i = 0; s->missing && i < s->missing->count; i++)
		units += s->missing->at[i].units;
	return units;
}

static int read_rows(struct inspection *in, struct slot *s, int i, struct db_rows *rows)
{
	struct db *db = in->svc->db;
	return db_query(db, in->arena,
			"SELECT seq, IF(live_user IS NULL, 0, user_id), unit FROM orders "
			"WHERE coupon_id = ? AND segment = ? AND seq > ? ORDER BY seq",
			rows, DB_N(in->coupon.id), DB_N(i), DB_N(s->now.last)) ||
	       db_query(db, in->arena,
			"SELECT seq FROM dead_letters WHERE coupon_id = ? AND segment = ? AND " DEAD_LETTER_HOLDS_UNIT
			" ORDER BY seq",
			&s->missing->held, DB_N(in->coupon.id), DB_N(i));
}

static void read_missing(struct inspection *in, struct slot *s, int i)
{
	struct db_rows rows;
	if (in->numbering.before[i].next - 1 <= s->now.last || in->status != STATUS_OK)
		return;
	s->missing = arena_alloc(in->arena, sizeof *s->missing);
	if (read_rows(in, s, i, &rows)) {
		in->status = db_status(in->svc->db, "inspect");
		return;
	}
	merge(in, s, &rows);
	for (int k = 0; k < s->missing->count; k++)
		if (s->missing->at[k].user)
			read_entry(in, s, i, &s->missing->at[k]);
}

void inspection_read_missing(struct inspection *in)
{
	inspection_each(in, read_missing);
}

/* Units */

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

/*
 * A missing order whose customer has an entry among the owners gets the unit of that entry and needs none of its own;
 * unless the entry's number is held for a lost order, or MySQL has an order of that number: it is over, and a unit was
 * sold with it, too.
 */
static int weigh(struct inspection *in, struct slot *s, int i, struct known_numbers *entries)
{
	entries->segment = i;
	qsort(entries->at, (size_t)entries->count, sizeof *entries->at, by_number);
	if (known_read(in->svc, in->arena, entries))
		return -1;
	for (int k = 0; k < s->missing->count; k++) {
		struct missing_order *one = &s->missing->at[k];
		const struct known *entry = one->entry ? find(entries, one->entry) : NULL;
		if (entry)
			one->units = entry->user || is_held(s->missing, one->entry);
	}
	return 0;
}

static void weigh_missing(struct inspection *in, struct slot *s, int i)
{
	enum { MOST = 1000 };
	int count = s->missing ? s->missing->count : 0;
	struct known_numbers entries = { .coupon = in->coupon.id };
	entries.at = arena_alloc(in->arena, MOST * sizeof *entries.at);
	for (int k = 0; k < count && in->status == STATUS_OK; k++) {
		if (s->missing->at[k].entry)
			entries.at[entries.count++] = (struct known){ .number = s->missing->at[k].entry };
		if (!entries.count || (entries.count < MOST && k + 1 < count))
			continue;
		if (weigh(in, s, i, &entries))
			in->status = db_status(in->svc->db, "inspect");
		entries.count = 0;
	}
}

void inspection_weigh_missing(struct inspection *in)
{
	inspection_each(in, weigh_missing);
}
