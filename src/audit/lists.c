/*
 * An order is in its segment before it enters its customer's list. So if a list names an order that is in none of the
 * places that are read later, the order is lost. Nearly all orders of a list have an owner in Redis. MySQL is asked for
 * the others, most of which are cancelled and have rows.
 */
#include "audit/lists.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "order/customer_lists.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_number.h"

enum { MOST = 10000, GROUP = 64 };

struct reading {
	struct service *svc;
	int64_t coupon;
	struct audit_lists *out;
	struct listed *read; /* entries that are not yet checked */
	int count, capacity;
	bool failed;
	struct arena arena;
};

static void on_entry(void *context, int64_t user, struct str order, int64_t claimed_ms)
{
	struct reading *r = context;
	struct order_number o;
	if (!order_number_read(order, &o) || (r->coupon && o.coupon != r->coupon))
		return;
	if (r->count == r->capacity) {
		r->capacity = r->capacity ? 2 * r->capacity : 1024;
		r->read = alloc_again(r->read, (size_t)r->capacity * sizeof *r->read);
	}
	r->read[r->count++] = (struct listed){ o.coupon, o.sequence, user, claimed_ms, o.segment };
}

/*
 * The number of an entry becomes 0 if its customer is the owner of the order as the first unit, so that it needs no
 * further check. A list does not say of which unit an order is.
 */

struct owner_question {
	struct reading *reading;
	struct listed *listed;
};

static void on_owner(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct owner_question *q = context;
	q->reading->failed |= end == REDIS_REFUSED || end == REDIS_UNKNOWN;
	if (redis_number(reply) == q->listed->number)
		q->listed->number = 0;
}

static void check_owners(struct reading *r)
{
	struct owner_question *questions = arena_alloc(&r->arena, (size_t)(r->count + 1) * sizeof *questions);
	for (int i = 0; i < r->count; i++) {
		struct redis_command c;
		questions[i] = (struct owner_question){ r, &r->read[i] };
		redis_command(&c, "HGET");
		key_put(&c, KEY_OWNERS, r->read[i].coupon, r->read[i].segment);
		redis_put_int(&c, r->read[i].user);
		redis_send(r->svc->redis_sync, &c, on_owner, &questions[i]);
	}
	redis_wait_all(r->svc->redis_sync);
}

static bool has_row(const struct db_rows *rows, const struct listed *l)
{
	for (int i = 0; i < rows->count; i++) {
		const struct db_value *v = db_row(rows, i);
		if (v[0].number == l->coupon && v[1].number == l->segment && v[2].number == l->number &&
		    v[3].number == l->user)
			return true;
	}
	return false;
}

static void keep(struct reading *r, const struct listed *l)
{
	struct audit_lists *out = r->out;
	if (!out->at)
		out->at = alloc(MOST * sizeof *out->at);
	if (out->count < MOST)
		out->at[out->count++] = *l;
}

/*
 * Keeps the entries that have no row. The statement always has parameters for GROUP orders; unused ones repeat the
 * first order. -1: the database has failed.
 */
static int check_rows(struct reading *r, const struct listed *group, int n)
{
	enum { COLUMNS = 3 };
	struct db_rows rows;
	struct db_value v[GROUP * COLUMNS];
	struct buf sql;
	buf_init(&sql, &r->arena);
	buf_puts(&sql, "SELECT coupon_id, segment, seq, user_id FROM orders WHERE ");
	for (int i = 0; i < GROUP; i++) {
		const struct listed *l = &group[i < n ? i : 0];
		buf_puts(&sql, i ? " OR " : "");
		buf_puts(&sql, "(coupon_id = ? AND segment = ? AND seq = ?)");
		v[i * COLUMNS] = DB_N(l->coupon);
		v[i * COLUMNS + 1] = DB_N(l->segment);
		v[i * COLUMNS + 2] = DB_N(l->number);
	}
	if (db_query_params(r->svc->db, &r->arena, sql.p, &rows, v, GROUP * COLUMNS))
		return -1;
	for (int i = 0; i < n; i++)
		if (!has_row(&rows, &group[i]))
			keep(r, &group[i]);
	return 0;
}

static enum status check_entries(void *context)
{
	struct reading *r = context;
	int left = 0;
	check_owners(r);
	for (int i = 0; i < r->count; i++)
		if (r->read[i].number)
			r->read[left++] = r->read[i];
	int failed = 0;
	for (int i = 0; !failed && i < left; i += GROUP)
		failed = check_rows(r, r->read + i, left - i < GROUP ? left - i : GROUP);
	r->count = 0;
	arena_reset(&r->arena);
	return failed ? db_status(r->svc->db, "audit") : r->failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

static int by_order(const void *left, const void *right)
{
	const struct listed *a = left, *b = right;
	const int64_t as[] = { a->coupon, a->segment, a->number, a->user };
	const int64_t bs[] = { b->coupon, b->segment, b->number, b->user };
	for (int i = 0; i < 4; i++)
		if (as[i] != bs[i])
			return as[i] < bs[i] ? -1 : 1;
	return 0;
}

enum status audit_lists_read(struct service *svc, int64_t coupon, struct audit_lists *out)
{
	*out = (struct audit_lists){ 0 };
	struct reading r = { .svc = svc, .coupon = coupon, .out = out };
	const struct customer_lists lists = { on_entry, check_entries, &r };
	redis_wait_up(svc->redis_sync);
	if (redis_is_single(svc->redis_sync))
		return STATUS_OK;
	enum status s = customer_lists_read(svc, &lists);
	free(r.read);
	arena_release(&r.arena);
	if (out->count)
		qsort(out->at, (size_t)out->count, sizeof *out->at, by_order);
	return s;
}

void audit_lists_release(struct audit_lists *l)
{
	free(l->at);
	*l = (struct audit_lists){ 0 };
}

int audit_lists_of(const struct audit_lists *l, int64_t coupon, int segment, const struct listed **first)
{
	int from = 0, n = 0;
	while (from < l->count &&
	       (l->at[from].coupon < coupon || (l->at[from].coupon == coupon && l->at[from].segment < segment)))
		from++;
	while (from + n < l->count && l->at[from + n].coupon == coupon && l->at[from + n].segment == segment)
		n++;
	*first = n ? &l->at[from] : NULL;
	return n;
}
