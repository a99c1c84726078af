#include "drain/batch.h"

#include "base/clock.h"
#include "catalog/stray.h"
#include "catalog/supply.h"
#include "drain/batch_part.h"
#include "host/fault.h"
#include "host/log.h"
#include "order/order.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/claim.h"

void batch_init(struct batch *b, struct service *svc, struct arena *a, int64_t coupon, int segments)
{
	*b = (struct batch){ .svc = svc, .arena = a, .coupon = coupon, .segments = segments };
	b->capacity = svc->conf->drain_batch + segments;
	b->segment = arena_alloc(a, (size_t)segments * sizeof *b->segment);
	b->records = arena_alloc(a, (size_t)b->capacity * sizeof *b->records);
}

int batch_failed(struct batch *b, const char *at)
{
	const char *error = db_error(b->svc->db);
	if (db_failure(b->svc->db) == DB_BROKEN)
		log_error_limited("drain_failed", LOG_TEXT("at", at), LOG_INT("coupon", b->coupon),
				  LOG_TEXT("error", error));
	else
		log_warn_limited("drain_failed", LOG_TEXT("at", at), LOG_INT("coupon", b->coupon),
				 LOG_TEXT("error", error));
	return -1;
}

/* Reading */

struct peek {
	struct batch *batch;
	int segment;
};

/* Whether the list is as it was left: else somebody has trimmed it meanwhile, and it is read from its head next time.
 */
static bool is_in_place(struct segment_batch *s, const struct redis_reply *reply)
{
	struct order_record r = { 0 };
	if (!s->passed.number)
		return true;
	if (s->passed.base == s->base && order_record_read(redis_text_at(reply, 1), &r) &&
	    r.sequence == s->passed.number)
		return true;
	s->passed = (struct place){ 0 };
	return false;
}

/* False: what stands behind it waits until it is the head. So does a number that is not above the one before it. */
static bool keep_record(struct batch *b, struct segment_batch *s, struct order_record *r, int64_t index)
{
	bool read = order_record_read(r->raw, r);
	s->waits = true;
	if (!read && !index)
		s->garbage = r->raw;
	const struct order_record *before = s->first ? &b->records[b->count - 1] : NULL;
	if (!read || r->sequence <= (before ? before->sequence : s->passed.number))
		return false;
	if (!s->first) {
		s->first = &b->records[b->count];
		s->first_index = index;
	}
	b->records[b->count++] = *r;
	if (!b->oldest_ms || r->claimed_ms < b->oldest_ms)
		b->oldest_ms = r->claimed_ms;
	return true;
}

static void on_records(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct peek *p = context;
	struct batch *b = p->batch;
	struct segment_batch *s = &b->segment[p->segment];
	b->away |= end != REDIS_ANSWER;
	if (end != REDIS_ANSWER)
		return;
	s->base = -1;
	redis_number_in(redis_at(reply, 0), 0, NUMBER_MAX, &s->base);
	if (!is_in_place(s, reply))
		return;
	int passed = s->passed.number != 0;
	for (size_t i = 1 + (size_t)passed; i < redis_count(reply) && b->count < b->capacity; i++) {
		struct order_record r = { .segment = p->segment, .raw = arena_str(b->arena, redis_text_at(reply, i)) };
		if (!keep_record(b, s, &r, s->passed.index + (int64_t)i - 1))
			break;
	}
}

/* The room of a batch is shared out evenly; a longer list gets its rest in the next one. */
static void peek_all(struct batch *b)
{
	struct redis_command c;
	int share = (b->svc->conf->drain_batch + b->segments - 1) / b->segments;
	struct peek *peeks = arena_alloc(b->arena, (size_t)b->segments * sizeof *peeks);
	for (int i = 0; i < b->segments; i++) {
		const struct place *passed = &b->segment[i].passed;
		peeks[i] = (struct peek){ b, i };
		redis_script(&c, &script_peek, 2);
		key_put(&c, KEY_SEGMENT, b->coupon, i);
		key_put(&c, KEY_ORDERS, b->coupon, i);
		redis_put_int(&c, passed->index);
		redis_put_int(&c, share + (passed->number ? 1 : 0));
		redis_send(b->svc->redis_sync, &c, on_records, &peeks[i]);
	}
	redis_wait_all(b->svc->redis_sync);
}

/* The customers' lists */

struct entry {
	struct batch *batch;
	const struct order_record *record;
};

/* Other orders of this coupon that the customer has: mostly there is none. */
static void suspect(struct batch *b, const struct order_record *r, const struct redis_reply *others)
{
	enum { MOST = 256 }; /* the rest is met again by whoever reads that list */
	if (!b->suspicions && redis_count(others))
		b->suspicions = arena_alloc(b->arena, MOST * sizeof *b->suspicions);
	for (size_t i = 0; i < redis_count(others) && b->suspicion_count < MOST; i++) {
		struct order_number n;
		if (order_number_read(redis_text_at(others, i), &n) && n.coupon == b->coupon)
			b->suspicions[b->suspicion_count++] =
				(struct lost_candidate){ n.coupon, n.sequence, r->user, n.segment };
	}
}

/*
 * The customer's list may be on a server that is lost, while the order's list is not: then the order stays on that for
 * a while, and is entered again. Not when Redis is full: trimming makes room.
 */
static void on_entry(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	enum { ENTRY_WAITS_MS = 10000 };
	const struct entry *e = context;
	if (end == REDIS_ANSWER)
		suspect(e->batch, e->record, reply);
	else if (!str_starts(redis_text(reply), STR("OOM")) && clock_ms() - e->record->claimed_ms < ENTRY_WAITS_MS)
		e->batch->segment[e->record->segment].held = true;
}

static void enter(struct batch *b, struct entry *e)
{
	struct redis_command c;
	char order[ORDER_NUMBER_TEXT];
	const struct order_record *r = e->record;
	redis_script(&c, &script_enter, 1);
	key_put(&c, KEY_CUSTOMER, r->user, 0);
	redis_put_int(&c, r->claimed_ms);
	redis_put(&c, order_number_text(order, b->coupon, r->segment, r->sequence));
	redis_put_text(&c, arena_printf(b->arena, "%lld-", (long long)b->coupon));
	redis_send(b->svc->redis_sync, &c, on_entry, e);
}

/*
 * On a cluster a worker can die between an order and its entry in the customer's list; one server writes both or
 * neither (claim.lua). Only what MySQL has: an entry whose order is nowhere else would count as lost.
 */
static void enter_orders(struct batch *b)
{
	if (redis_is_single(b->svc->redis_sync))
		return;
	struct entry *entries = arena_alloc(b->arena, (size_t)b->count * sizeof *entries);
	for (int i = 0; i < b->count; i++) {
		const struct order_record *r = &b->records[i];
		const struct segment_batch *s = &b->segment[r->segment];
		entries[i] = (struct entry){ b, r };
		if (r->user && s->last && r->sequence <= s->last->sequence)
			enter(b, &entries[i]);
	}
	redis_wait_all(b->svc->redis_sync);
}

/* What cannot be decided now is left in the set. */
static void look_at_suspicions(struct batch *b)
{
	for (int i = 0; i < b->suspicion_count; i++)
		if (lost_look(b->svc, b->arena, &b->suspicions[i]) != STATUS_OK)
			worklist_look_for(b->svc->redis_sync, &b->suspicions[i]);
}

/* MySQL */

static int decide_all(struct batch *b, struct decided *d, int *count, int *units)
{
	for (int i = 0; i < b->count; i++) {
		struct decided *one = &d[*count];
		one->record = &b->records[i];
		if (rows_decide(b, one->record, &one->fate, &one->letter))
			return -1;
		*count += one->fate != FATE_NONE;
		*units += one->fate == FATE_ORDER || one->fate == FATE_REVIVE;
	}
	return 0;
}

/* 0; 1: there are fewer units than orders; -1: the database has failed. */
static int write_batch(struct batch *b, int *units)
{
	struct decided *d = arena_alloc(b->arena, (size_t)(b->count + 1) * sizeof *d);
	int count = 0, oversold;
	if (rows_begin(b) || decide_all(b, d, &count, units) || rows_write(b, d, count))
		return -1;
	oversold = rows_count_sold(b, *units);
	return oversold ? oversold : rows_move_cursors(b) || db_commit(b->svc->db) ? -1 : 0;
}

/* One transaction: 0 committed, 1 refused for one of its values (rolled back), -1 try again later. */
static int commit_batch(struct batch *b)
{
	int units = 0, result = write_batch(b, &units);
	if (result == 0) {
		b->committed += units;
		FAULT(drain_committed);
		return 0;
	}
	b->oversold = result == 1;
	bool refused = !b->raced && !b->stray && (b->oversold || batch_is_refusal(b));
	if (!refused && !b->stray)
		batch_failed(b, "batch");
	db_rollback(b->svc->db);
	return refused ? 1 : -1;
}

/* The transaction of one order, which may end as a dead letter. */
static int commit_one(struct batch *b, struct order_record *r)
{
	struct batch one = *b;
	one.records = r;
	one.count = 1;
	one.committed = one.dead = 0;
	int result = commit_batch(&one);
	if (result == 1) {
		FAULT(drain_refused);
		result = dead_letter_put_refused(&one, r,
						 batch_is_refusal(b)
							 ? arena_printf(b->arena, "%.200s", db_error(b->svc->db))
							 : "more orders than units");
	}
	b->committed += one.committed;
	b->dead += one.dead;
	b->replaced |= one.replaced;
	return result;
}

static int commit_each(struct batch *b)
{
	const struct order_record **last = arena_alloc(b->arena, (size_t)b->segments * sizeof(struct order_record *));
	bool *stopped = arena_alloc(b->arena, (size_t)b->segments * sizeof *stopped);
	for (int i = 0; i < b->count; i++) {
		struct order_record *r = &b->records[i];
		if (stopped[r->segment])
			continue;
		if (commit_one(b, r))
			return -1;
		stopped[r->segment] = b->segment[r->segment].skip;
		if (!stopped[r->segment])
			last[r->segment] = r;
	}
	for (int i = 0; i < b->segments; i++)
		b->segment[i].last = last[i];
	return 0;
}

/* Trimming */

static void on_trim(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct segment_batch *s = context;
	(void)reply; /* also when the list is another one by now: nothing of that is passed over */
	s->trimmed = end == REDIS_ANSWER;
}

/*
 * After the commit: lists get shorter. A trim that is lost or refused (Redis is full, has too few replicas, or is away)
 * costs a repetition, later; until then the orders are passed over, and not trimmed with those behind them: some may
 * not be in their customers' lists yet.
 */
static void trim(struct batch *b)
{
	struct redis_command c;
	for (int i = 0; i < b->segments; i++) {
		struct segment_batch *s = &b->segment[i];
		if (!s->last || s->held || s->passed.number)
			continue;
		redis_script(&c, &script_trim, 2);
		key_put(&c, KEY_SEGMENT, b->coupon, i);
		key_put(&c, KEY_ORDERS, b->coupon, i);
		redis_put_int(&c, s->base);
		redis_put_int(&c, s->last->sequence);
		redis_put_int(&c, s->last - s->first + 1);
		redis_send(b->svc->redis_sync, &c, on_trim, s);
	}
	redis_wait_all(b->svc->redis_sync);
	FAULT(drain_trimmed);
	for (int i = 0; i < b->segments; i++) {
		struct segment_batch *s = &b->segment[i];
		if (s->trimmed)
			s->passed = (struct place){ 0 };
		else if (s->last)
			s->passed = (struct place){ s->last->sequence, s->first_index + (s->last - s->first), s->base };
	}
}

/* The whole */

static int close_stray(struct batch *b)
{
	struct stray s;
	if (stray_read(b->svc, b->arena, b->coupon, &s) != STATUS_OK)
		return -1;
	s.segments = b->segments;
	return stray_close(b->svc, b->arena, &s) == STATUS_OK ? 0 : -1;
}

/* More orders than units: before any of them is refused, MySQL learns of units that it may have forgotten. */
static int commit_oversold(struct batch *b)
{
	struct supply_opening o; /* a worker opens the sale; nobody waits for that here */
	enum status s = supply_redo(b->svc, b->arena, b->coupon, &o);
	if (s == STATUS_NO_SUCH_COUPON) { /* or not published, as far as MySQL knows: a recovery mends that */
		b->known = false;
		return rows_check_known(b) ? -1 : batch_failed(b, "a coupon that is not published");
	}
	if (s == STATUS_UNAVAILABLE || s == STATUS_INTERNAL)
		return -1;
	int result = commit_batch(b);
	return result == 1 ? commit_each(b) : result;
}

static int commit_all(struct batch *b)
{
	int result = commit_batch(b);
	if (result == 1)
		result = b->oversold ? commit_oversold(b) : commit_each(b);
	return b->stray ? close_stray(b) : result;
}

int batch_move(struct batch *b)
{
	peek_all(b);
	for (int i = 0; i < b->segments; i++)
		if (b->segment[i].garbage.p && dead_letter_put_garbage(b, i))
			return -1;
	FAULT(drain_peeked);
	if (!b->count)
		return 0;
	int result = commit_all(b);
	if (b->replaced)
		worklist_inspect(b->svc->redis_sync, b->coupon, b->segments);
	redis_wait_all(b->svc->redis_sync);
	if (result == 0 && !b->stray) {
		enter_orders(b);
		trim(b);
		look_at_suspicions(b);
	}
	redis_wait_all(b->svc->redis_sync);
	return result ? -1 : b->committed;
}
