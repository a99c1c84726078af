/*
 * What holds of a number that was given out: it is an order's, which is in
 * all the places that it has reached, or it is named as lost. And of all of
 * them together: so many units are sold as there are numbers that hold one.
 * That may be a little uncertain: of a number that is in no place nobody
 * knows, and the unit of a dead letter may be that of its customer's next order.
 */
#include "audit/compare.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "stock/claim.h"

enum { SOME = 500, USERS = 64 };

/* Order by order */

static enum finding_kind kind_of_lost(const struct compare *c, int64_t number, int64_t user)
{
	if (user)
		return FINDING_LOST_ACKNOWLEDGED;
	bool is_current = number > c->segment->base && number <= c->segment->last;
	return is_current ? FINDING_NO_TRACE : FINDING_LOST_NUMBER;
}

/* listed: who has it in his list, and does not own it; 0: nobody. */
static void judge(struct compare *c, int64_t i, int64_t number, int64_t listed)
{
	struct finding f = { .sequence = number, .user = c->user[i] };
	unsigned seen = c->seen[i];
	if (!seen) {
		f.user = listed;
		f.kind = kind_of_lost(c, number, listed);
	} else if (listed && f.user && f.user != listed) {
		f.is = listed;
		f.kind = FINDING_OTHER_IN_INDEX;
	} else if ((seen & (QUEUED | ROW)) && !(seen & (OWNED | OVER))) {
		f.kind = FINDING_NO_OWNER;
	} else if (seen == OWNED || seen == (OWNED | TWICE)) {
		f.kind = FINDING_LOST;
	} else {
		return;
	}
	compare_add(c, f);
}

static void count_unit(struct compare *c, unsigned seen, int64_t number)
{
	bool certain = seen & (OWNED | ROW | OVER | NAMED);
	if (number > c->segment->last)
		return;
	c->certain += certain;
	c->possible += certain || !seen || (seen & (QUEUED | LETTER));
}

/* The customers' lists are in the order of the numbers; of one that two of them name, the first is told. */
static void judge_orders(struct compare *c)
{
	const struct listed *listed;
	int n = audit_lists_of(c->audit->lists, c->audit->coupon.id, c->number_of_segment, &listed), k = 0;
	for (int64_t i = 0; i < c->count; i++) {
		int64_t number = ranges_number(&c->ranges, c->first + i);
		while (k < n && listed[k].number < number)
			k++;
		judge(c, i, number, k < n && listed[k].number == number ? listed[k].user : 0);
		count_unit(c, c->seen[i], number);
	}
}

/* Customers' lists */

struct entry {
	struct compare *compare;
	int64_t number, user;
};

static void on_entry(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct entry *e = context;
	if (end != REDIS_ANSWER)
		e->compare->status = STATUS_UNAVAILABLE;
	else if (redis_type(reply) == REDIS_NIL)
		compare_add(e->compare,
			    (struct finding){ .kind = FINDING_NO_INDEX, .sequence = e->number, .user = e->user });
}

static void ask_entry(struct compare *c, struct entry *e)
{
	struct redis_command cmd;
	char order[ORDER_NUMBER_TEXT];
	redis_command(&cmd, "ZSCORE");
	key_put(&cmd, KEY_CUSTOMER, e->user, 0);
	redis_put(&cmd, order_number_text(order, c->audit->coupon.id, c->number_of_segment, e->number));
	redis_send(c->svc->redis_sync, &cmd, on_entry, e);
}

/* A customer is shown the rows that MySQL has, and what the list has besides. */
static void judge_index(struct compare *c)
{
	struct entry entries[SOME];
	int n = 0;
	c->place = "indexes";
	c->read = 0;
	for (int64_t i = 0; c->status == STATUS_OK && i < c->count; i++) {
		compare_progress(c);
		if ((c->seen[i] & (OWNED | ROW | OVER)) == OWNED) {
			entries[n] = (struct entry){ c, ranges_number(&c->ranges, c->first + i), c->user[i] };
			ask_entry(c, &entries[n++]);
		}
		if (n == SOME || i + 1 == c->count) {
			redis_wait_all(c->svc->redis_sync);
			n = 0;
		}
	}
	redis_wait_all(c->svc->redis_sync);
}

/* Users */

static bool is_among(const struct db_rows *rows, int64_t user)
{
	for (int i = 0; i < rows->count; i++)
		if (db_row(rows, i)->number == user)
			return true;
	return false;
}

/* Those which MySQL does not know. A statement of one size; the last users are asked for more than once. */
static void ask_users(struct compare *c, const int64_t *at, int n)
{
	struct db_rows rows;
	struct db_value v[USERS];
	struct buf sql;
	arena_reset(&c->arena);
	buf_init(&sql, &c->arena);
	buf_puts(&sql, "SELECT id FROM users WHERE id IN (");
	for (int k = 0; k < USERS; k++) {
		buf_puts(&sql, k ? ", ?" : "?");
		v[k] = DB_N(c->user[at[k < n ? k : 0]]);
	}
	buf_puts(&sql, ")");
	if (db_run(c->svc->db, &c->arena, sql.p, v, USERS, &rows, NULL)) {
		c->status = db_status(c->svc->db, "audit");
		return;
	}
	for (int k = 0; k < n; k++)
		if (!is_among(&rows, c->user[at[k]]))
			compare_add(c, (struct finding){ .kind = FINDING_UNKNOWN_USER,
							 .sequence = ranges_number(&c->ranges, c->first + at[k]),
							 .user = c->user[at[k]] });
}

/* Of orders that wait; the others were seen with their rows. */
static void judge_users(struct compare *c)
{
	int64_t at[USERS];
	int n = 0;
	for (int64_t i = 0; c->status == STATUS_OK && i < c->count; i++) {
		if ((c->seen[i] & (QUEUED | ROW)) == QUEUED)
			at[n++] = i;
		if (n == USERS || (n && i + 1 == c->count)) {
			ask_users(c, at, n);
			n = 0;
		}
	}
}

void judge_window(struct compare *c)
{
	judge_orders(c);
	judge_users(c);
	judge_index(c);
}

/* The segment as a whole */

/*
 * Rows and cursor commit together, so a cursor that is read after the rows is beyond those of its base: else the drain
 * stands still.
 */
static void judge_cursor(struct compare *c)
{
	struct cursor *cursors = arena_alloc(&c->arena, (size_t)c->audit->coupon.segments * sizeof *cursors);
	c->status = cursors_read(c->svc, &c->arena, c->audit->coupon.id, c->audit->coupon.segments, cursors);
	if (c->status != STATUS_OK)
		return;
	struct cursor cursor = cursors[c->number_of_segment];
	if (c->last_row > cursor.base && c->last_row >= cursor.next)
		compare_add(c,
			    (struct finding){ .kind = FINDING_CURSOR_BEHIND, .is = cursor.next, .want = c->last_row });
}

/* What is beyond the segment's last number was given out while we looked, or never. */
static void judge_beyond(struct compare *c)
{
	const struct {
		enum finding_kind kind;
		int64_t highest;
	} places[] = { { FINDING_BEYOND_OWNERS, c->last_owner },
		       { FINDING_BEYOND_LIST, c->last_listed },
		       { FINDING_BEYOND_ROWS, c->last_row } };
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	redis_command(&cmd, "HMGET");
	key_put(&cmd, KEY_SEGMENT, c->audit->coupon.id, c->number_of_segment);
	redis_put_text(&cmd, "last");
	redis_put_text(&cmd, "n"); /* of earlier layouts */
	if (redis_call(c->svc->redis_sync, &c->arena, &cmd, &reply) != REDIS_ANSWER)
		c->status = STATUS_UNAVAILABLE;
	int64_t last = redis_number_at(reply, redis_type(redis_at(reply, 0)) == REDIS_NIL);
	for (int i = 0; c->status == STATUS_OK && i < 3; i++)
		if (places[i].highest > last)
			compare_add(c, (struct finding){
					       .kind = places[i].kind, .sequence = places[i].highest, .is = last });
}

/* As it was before the orders were looked at. What a recovery of layout 1 has skipped was counted, too. */
static void judge_sold(struct compare *c)
{
	int64_t sold = c->segment->sold, possible = c->possible + c->audit->skipped;
	if (sold < c->certain || sold > possible)
		compare_add(c, (struct finding){ .kind = FINDING_SOLD,
						 .is = sold,
						 .want = sold < c->certain ? c->certain : c->possible });
}

void judge_segment(struct compare *c)
{
	arena_reset(&c->arena);
	judge_sold(c);
	judge_cursor(c);
	if (c->status == STATUS_OK)
		judge_beyond(c);
}
