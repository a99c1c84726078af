/*
 * Every number given out must either belong to an order, seen in every place that order should be by now, or be
 * recorded as lost. `sold` must equal the numbers that hold a unit; there is a margin because a number that is in no
 * place may have held a unit or not, and the unit of a dead letter may have passed to its customer's next order.
 */
#include "audit/compare_order.h"

#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_number.h"

enum { ENTRIES = 500, USERS = 64 };

/* Order by order */

static enum finding_kind kind_of_lost(const struct compare *c, int64_t number, int64_t user)
{
	if (user)
		return FINDING_LOST_ACKNOWLEDGED;
	bool is_current = number > c->segment->own.base && number <= c->segment->own.last;
	return is_current ? FINDING_NO_TRACE : FINDING_LOST_NUMBER;
}

/* listed: a customer whose list has the order, without being its owner; 0: none. */
static void judge_order(struct compare *c, int64_t i, int64_t number, int64_t listed)
{
	const struct owner owner = owner_of_code(c->owner[i]);
	struct finding f = { .sequence = number, .user = owner.user, .unit = owner.unit };
	unsigned seen = c->seen[i];
	if (!seen) {
		f.user = listed;
		f.unit = 0;
		f.kind = kind_of_lost(c, number, listed);
	} else if (listed && f.user && f.user != listed) {
		f.is = listed;
		f.kind = FINDING_OTHER_IN_INDEX;
	} else if ((seen & TOMBSTONE) && !(seen & OVER)) {
		f.kind = FINDING_TOMBSTONE;
	} else if ((seen & OWNED) && (seen & OVER) && !(seen & RETURNED)) {
		f.kind = FINDING_STALE_OWNER;
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
	bool certain = seen & (OWNED | ROW | OVER | NAMED | TOMBSTONE);
	if (number > c->segment->own.last)
		return;
	c->certain += certain;
	c->possible += certain || !seen || (seen & (QUEUED | LETTER));
}

/* audit_lists_of is sorted by number. If two customers' lists have the same number, the first counts. */
static void judge_orders(struct compare *c)
{
	const struct listed *listed;
	int n = audit_lists_of(c->audit->lists, c->audit->coupon.id, c->segment_number, &listed), k = 0;
	for (int64_t i = 0; i < c->count; i++) {
		int64_t number = ranges_number(&c->ranges, c->first + i);
		while (k < n && listed[k].number < number)
			k++;
		judge_order(c, i, number, k < n && listed[k].number == number ? listed[k].user : 0);
		count_unit(c, c->seen[i], number);
	}
}

/* Customers' lists */

struct list_entry {
	struct compare *compare;
	int64_t number, user;
};

static void on_list_entry(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct list_entry *e = context;
	if (end != REDIS_ANSWER)
		e->compare->status = STATUS_UNAVAILABLE;
	else if (redis_type(reply) == REDIS_NIL)
		compare_add(e->compare,
			    (struct finding){ .kind = FINDING_NO_INDEX, .sequence = e->number, .user = e->user });
}

static void ask_list_entry(struct compare *c, struct list_entry *e)
{
	struct redis_command cmd;
	char order[ORDER_NUMBER_TEXT];
	redis_command(&cmd, "ZSCORE");
	key_put(&cmd, KEY_CUSTOMER, e->user, 0);
	redis_put(&cmd, order_number_text(order, c->audit->coupon.id, c->segment_number, e->number));
	redis_send(c->svc->redis_sync, &cmd, on_list_entry, e);
}

/* Checks only orders without a row: the API shows a customer the rows, and other orders that the list has. */
static void judge_lists(struct compare *c)
{
	struct list_entry entries[ENTRIES];
	int n = 0;
	if (redis_is_single(c->svc->redis_sync)) /* customers have no lists */
		return;
	c->place = "indexes";
	c->read = 0;
	for (int64_t i = 0; c->status == STATUS_OK && i < c->count; i++) {
		compare_progress(c);
		if ((c->seen[i] & (OWNED | ROW | OVER)) == OWNED) {
			entries[n] = (struct list_entry){ c, ranges_number(&c->ranges, c->first + i),
							  owner_of_code(c->owner[i]).user };
			ask_list_entry(c, &entries[n++]);
		}
		if (n == ENTRIES || i + 1 == c->count) {
			redis_wait_all(c->svc->redis_sync);
			n = 0;
		}
	}
	redis_wait_all(c->svc->redis_sync);
}

/* Users */

static bool has_user(const struct db_rows *rows, int64_t user)
{
	for (int i = 0; i < rows->count; i++)
		if (db_row(rows, i)->number == user)
			return true;
	return false;
}

/* Adds a finding for each user that MySQL lacks. Unused parameters of the statement repeat the first user. */
static void check_users(struct compare *c, const int64_t *at, int n)
{
	struct db_rows rows;
	struct db_value v[USERS];
	struct buf sql;
	arena_reset(&c->arena);
	buf_init(&sql, &c->arena);
	buf_puts(&sql, "SELECT id FROM users WHERE id IN (");
	for (int k = 0; k < USERS; k++) {
		buf_puts(&sql, k ? ", ?" : "?");
		v[k] = DB_N(owner_of_code(c->owner[at[k < n ? k : 0]]).user);
	}
	buf_puts(&sql, ")");
	if (db_query_params(c->svc->db, &c->arena, sql.p, &rows, v, USERS)) {
		c->status = db_status(c->svc->db, "audit");
		return;
	}
	for (int k = 0; k < n; k++)
		if (!has_user(&rows, owner_of_code(c->owner[at[k]]).user))
			compare_add(c, (struct finding){ .kind = FINDING_UNKNOWN_USER,
							 .sequence = ranges_number(&c->ranges, c->first + at[k]),
							 .user = owner_of_code(c->owner[at[k]]).user });
}

/* Checks the users of orders that wait on the list: the scan of the rows has checked the others. */
static void judge_users(struct compare *c)
{
	int64_t at[USERS];
	int n = 0;
	for (int64_t i = 0; c->status == STATUS_OK && i < c->count; i++) {
		if ((c->seen[i] & (QUEUED | ROW)) == QUEUED)
			at[n++] = i;
		if (n == USERS || (n && i + 1 == c->count)) {
			check_users(c, at, n);
			n = 0;
		}
	}
}

void compare_orders(struct compare *c)
{
	judge_orders(c);
	judge_users(c);
	judge_lists(c);
}

/* The segment as a whole */

/* A drainer commits rows and cursor together, so a cursor that is read after the rows is above the rows of its base. */
static void judge_cursor(struct compare *c)
{
	struct cursor *cursors = arena_alloc(&c->arena, (size_t)c->audit->coupon.segments * sizeof *cursors);
	c->status = cursors_read(c->svc, &c->arena, c->audit->coupon.id, c->audit->coupon.segments, cursors);
	if (c->status != STATUS_OK)
		return;
	struct cursor cursor = cursors[c->segment_number];
	if (c->last_row > cursor.base && c->last_row >= cursor.next)
		compare_add(c,
			    (struct finding){ .kind = FINDING_CURSOR_BEHIND, .is = cursor.next, .want = c->last_row });
}

/* Reads the segment's last number again: a higher number in another place was never given out. */
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
	struct slot_segment now;
	slot_segment_command(&cmd, c->audit->coupon.id, c->segment_number);
	if (redis_call(c->svc->redis_sync, &c->arena, &cmd, &reply) != REDIS_ANSWER)
		c->status = STATUS_UNAVAILABLE;
	slot_segment_read(&c->arena, reply, 0, &now);
	for (int i = 0; c->status == STATUS_OK && i < 3; i++)
		if (places[i].highest > now.last)
			compare_add(c, (struct finding){
					       .kind = places[i].kind, .sequence = places[i].highest, .is = now.last });
}

/* Uses `sold` from before the orders were read. It may include numbers that a recovery of layout 1 has skipped. */
static void judge_sold(struct compare *c)
{
	int64_t sold = c->segment->own.sold, possible = c->possible + c->audit->skipped;
	if (sold < c->certain || sold > possible)
		compare_add(c, (struct finding){ .kind = FINDING_SOLD,
						 .is = sold,
						 .want = sold < c->certain ? c->certain : possible });
}

void compare_segment(struct compare *c)
{
	arena_reset(&c->arena);
	judge_sold(c);
	judge_cursor(c);
	if (c->status == STATUS_OK)
		judge_beyond(c);
}
