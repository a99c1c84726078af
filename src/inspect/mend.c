/*
 * What an inspection writes. Every script compares, and the one that comes
 * from an inspection with an earlier base, or after a failover, does nothing.
 * tests/model/lossy/inspect.c has these steps in the same order.
 */
#include "inspect/inspect_part.h"

#include <stdio.h>

#include "base/clock.h"
#include "catalog/supply.h"
#include "host/log.h"
#include "order/dead_letter.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/scripts.h"
#include "stock/acknowledged.h"
#include "stock/sold_out.h"

static int number_of(const struct inspection *in, const struct slot *s)
{
	return (int)(s - in->segments);
}

static bool is(const struct redis_reply *reply, const char *word)
{
	return str_eq(redis_text_at(reply, 0), str_of(word));
}

static void begin(struct inspection *in, struct redis_command *c, const struct redis_script *script, enum key key,
		  int i)
{
	redis_script(c, script, 1);
	key_put(c, key, in->coupon.id, i);
}

static struct str fence_in(const struct inspection *in, char text[KEY_TEXT], struct str run)
{
	char rest[KEY_TEXT];
	snprintf(rest, sizeof rest, "@%.*s", (int)run.n, run.p);
	return fence_text(text, in->coupon.generation, rest);
}

static void each(struct inspection *in, void (*act)(struct inspection *in, struct slot *s, int i))
{
	for (int i = 0; i < in->coupon.segments; i++)
		if (slot_is_at_work(&in->segments[i]))
			act(in, &in->segments[i], i);
}

/* Whatever was read is not so any more, or another inspection is ahead. */
static void expect_ok(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)s;
	in->outrun |= !is(reply, "OK");
}

/* A segment that is open, and whose base was replaced, sells nothing from now on. */
static void suspect(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	char text[KEY_TEXT];
	if (!str_eq(fence_incarnation(s->fence), s->run))
		return;
	fence_change_command(&c, KEY_SEGMENT, in->coupon.id, i, s->fence, fence_in(in, text, STR("")));
	inspection_ask(in, &c, s, expect_ok);
}

void inspection_suspect(struct inspection *in)
{
	each(in, suspect);
}

/* Bases and the term, from MySQL */

static int64_t higher(int64_t one, int64_t other)
{
	return one > other ? one : other;
}

/* A segment that an inspection has begun to mend may have a last number that is of a later base than its own. */
void inspection_number(struct inspection *in)
{
	size_t segments = (size_t)in->coupon.segments;
	struct numbering *n = &in->numbering;
	*n = (struct numbering){ .coupon = in->coupon.id,
				 .segments = in->coupon.segments,
				 .hub = in->hub.suspect,
				 .term = in->at_hub.term,
				 .seen = in->cursors,
				 .wanted = arena_alloc(in->arena, segments * sizeof *n->wanted),
				 .above = arena_alloc(in->arena, segments * sizeof *n->above),
				 .known = arena_alloc(in->arena, segments * sizeof *n->known),
				 .before = arena_alloc(in->arena, segments * sizeof *n->before),
				 .bases = arena_alloc(in->arena, segments * sizeof *n->bases) };
	bool any = n->hub;
	for (size_t i = 0; i < segments; i++) {
		const struct slot *s = &in->segments[i];
		n->wanted[i] = slot_is_at_work(s);
		n->term = higher(n->term, s->term); /* MySQL may be older, too */
		n->above[i] = higher(higher(s->now.last, s->now.base), s->hub_base);
		n->above[i] = higher(n->above[i], acknowledged_read(in->svc, in->coupon.id, (int)i));
		int64_t given = s->now.last - s->now.base; /* unless an inspection has written orders of later bases */
		n->known[i] = (struct range){ s->now.base, given <= s->now.sold ? given : 0 };
		any |= n->wanted[i];
	}
	enum status s = any ? numbers_hand_out(in->svc, in->arena, n) : STATUS_OK;
	if (s == STATUS_BUSY)
		in->outrun = true;
	else
		in->status = s;
}

static void take_term(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	expect_ok(in, s, reply);
	in->at_hub.term = in->numbering.term;
	inspection_note_opening(in, redis_number_at(reply, 1), redis_changed_ms(in->svc->redis_sync));
}

void inspection_begin_term(struct inspection *in)
{
	struct redis_command c;
	char text[KEY_TEXT];
	if (!in->hub.suspect)
		return;
	begin(in, &c, &script_term, KEY_HUB, 0);
	redis_put(&c, in->hub.fence);
	redis_put(&c, fence_in(in, text, in->hub.run));
	redis_put_int(&c, in->numbering.term);
	redis_put_int(&c, !redis_is_single(in->svc->redis_sync));
	inspection_ask(in, &c, &in->hub, take_term);
}

/* Units that only MySQL remembers, or only the hub, are put on sale again before anything is found to be missing. */
void inspection_supply(struct inspection *in)
{
	struct supply_opening o;
	enum status s = supply_redo(in->svc, in->arena, in->coupon.id, &o);
	if (s == STATUS_UNAVAILABLE || s == STATUS_INTERNAL)
		in->status = s;
	else if (s != STATUS_OK)
		in->outrun = true;
}

/* Orders that MySQL has, and the segment has not */

struct order_back {
	int64_t number, user; /* user 0: its customer has it no more, or nobody ever had */
	int64_t entry;        /* the number that this customer has in the segment; 0: none */
	int units;            /* 0: it takes over the unit of that entry */
};

struct orders_back {
	struct order_back *at;
	int count;
	struct db_rows held; /* numbers of dead letters that hold a unit, in ascending order */
};

static bool is_held(const struct orders_back *back, int64_t number)
{
	for (int i = 0; i < back->held.count; i++)
		if (db_row(&back->held, i)->number == number)
			return true;
	return false;
}

struct entry {
	struct inspection *inspection;
	struct slot *slot;
	struct order_back *order;
};

static void on_entry(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct entry *e = context;
	if (end != REDIS_ANSWER)
		e->slot->away = e->inspection->away = true;
	int64_t number = redis_number(reply);
	e->order->units = number <= 0 || is_held(e->slot->back, number);
}

static void ask_entry(struct inspection *in, struct slot *s, int i, struct order_back *order)
{
	struct redis_command c;
	struct entry *e = arena_alloc(in->arena, sizeof *e);
	*e = (struct entry){ in, s, order };
	redis_command(&c, "HGET");
	key_put(&c, KEY_OWNERS, in->coupon.id, i);
	redis_put_int(&c, order->user);
	redis_send(in->svc->redis_sync, &c, on_entry, e);
}

/* Rows and dead letters together, in ascending order: a number is in one of them, or else the row is what counts. */
static void merge(struct inspection *in, struct slot *s, const struct db_rows *rows)
{
	struct orders_back *back = s->back;
	back->at = arena_alloc(in->arena, (size_t)(rows->count + back->held.count + 1) * sizeof *back->at);
	for (int r = 0, h = 0; r < rows->count || h < back->held.count;) {
		int64_t row = r < rows->count ? db_row(rows, r)[0].number : NUMBER_MAX;
		int64_t held = h < back->held.count ? db_row(&back->held, h)->number : NUMBER_MAX;
		struct order_back one = { .number = row < held ? row : held, .units = 1 };
		if (row <= held)
			one.user = db_row(rows, r++)[1].number;
		h += held <= row;
		if (one.number > s->now.last)
			back->at[back->count++] = one;
	}
}

static int64_t units_back(const struct slot *s)
{
	int64_t units = 0;
	for (int k = 0; s->back && k < s->back->count; k++)
		units += s->back->at[k].units;
	return units;
}

static void read_back(struct inspection *in, struct slot *s, int i)
{
	struct db_rows rows;
	struct db *db = in->svc->db;
	if (in->numbering.before[i].next - 1 <= s->now.last || in->status != STATUS_OK)
		return;
	s->back = arena_alloc(in->arena, sizeof *s->back);
	if (db_query(db, in->arena,
		     "SELECT seq, IF(live_user IS NULL, 0, user_id) FROM orders "
		     "WHERE coupon_id = ? AND segment = ? AND seq > ? ORDER BY seq",
		     &rows, DB_N(in->coupon.id), DB_N(i), DB_N(s->now.last)) ||
	    db_query(db, in->arena,
		     "SELECT seq FROM dead_letters WHERE coupon_id = ? AND segment = ? AND " DEAD_LETTER_HOLDS_UNIT
		     " ORDER BY seq",
		     &s->back->held, DB_N(in->coupon.id), DB_N(i))) {
		in->status = db_status(db, "inspect");
		return;
	}
	merge(in, s, &rows);
	for (int k = 0; k < s->back->count; k++)
		if (s->back->at[k].user)
			ask_entry(in, s, i, &s->back->at[k]);
}

void inspection_read_back(struct inspection *in)
{
	each(in, read_back);
}

/* The hub admits the segment */

static void take_admission(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	if (is(reply, "SHORT"))
		s->problem = "has sold more than was put on sale";
	else
		expect_ok(in, s, reply);
	s->granted = redis_number_at(reply, 1);
	s->taken = redis_number_at(reply, 2);
	in->at_hub.term = redis_number_at(reply, 3);
	if (redis_number_at(reply, 5) == 1 && !in->workers_forgot) {
		inspection_note_opening(in, redis_number_at(reply, 4), clock_mono_ms());
		in->outrun = true;
	}
}

static void admit(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	begin(in, &c, &script_admit, KEY_HUB, 0);
	fence_put(&c, in->coupon.generation);
	redis_put_int(&c, i);
	redis_put_int(&c, in->numbering.bases[i]);
	redis_put_int(&c, s->now.received);
	redis_put_int(&c, s->now.sent);
	redis_put_int(&c, s->now.sold + units_back(s));
	inspection_ask_hub_for(in, &c, s, take_admission);
}

void inspection_admit(struct inspection *in)
{
	each(in, admit);
}

/* The segment is mended */

static void take_mended(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	if (s->problem) /* of an earlier part */
		return;
	if (is(reply, "SHORT"))
		s->problem = "has sold more than it was granted";
	else
		expect_ok(in, s, reply);
	s->now.sold = redis_number_at(reply, 1);
	s->now.last = redis_number_at(reply, 2);
	s->now.received = redis_number_at(reply, 3);
	s->now.sent = redis_number_at(reply, 4);
	s->left = redis_number_at(reply, 5);
}

/* The start of a call: what the segment holds, as far as this inspection knows. */
static void begin_mend(struct inspection *in, struct redis_command *c, const struct slot *s, int i)
{
	redis_script(c, &script_mend, 2);
	key_put(c, KEY_SEGMENT, in->coupon.id, i);
	key_put(c, KEY_OWNERS, in->coupon.id, i);
	redis_put(c, s->fence);
	redis_put_int(c, s->now.sold);
	redis_put_int(c, s->now.last);
	redis_put_int(c, s->now.received);
	redis_put_int(c, s->now.sent);
	redis_put_int(c, in->numbering.bases[i]);
}

/* As many orders as a call has room for; returns how many were put. */
static int put_orders(struct redis_command *c, struct slot *s, int from)
{
	enum { ONE = 40, MOST = 64 };
	char text[MOST * ONE];
	size_t n = 0;
	int k = from;
	for (; s->back && k < s->back->count && k < from + MOST; k++) {
		const struct order_back *one = &s->back->at[k];
		n += (size_t)snprintf(text + n, sizeof text - n, "%lld %lld %d ", (long long)one->number,
				      (long long)one->user, one->units);
		s->now.sold += one->units;
		s->now.last = one->number;
	}
	redis_put(c, (struct str){ text, n });
	return k - from;
}

static void put_totals(struct inspection *in, struct redis_command *c, int64_t granted, int64_t taken)
{
	redis_put_int(c, granted);
	redis_put_int(c, taken);
	redis_put_int(c, in->at_hub.term);
}

/*
 * Calls for one segment are executed in their order, and each compares with what the one before it has left. All have
 * the totals, so that numbers add up when the last ones are not sent.
 */
static void mend(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	int count = s->back ? s->back->count : 0, done = 0;
	do {
		begin_mend(in, &c, s, i);
		done += put_orders(&c, s, done);
		put_totals(in, &c, s->granted, s->taken);
		s->now.received = higher(s->now.received, s->granted);
		s->now.sent = higher(s->now.sent, s->taken);
		inspection_ask(in, &c, s, take_mended);
	} while (done < count);
	s->back = NULL;
}

void inspection_mend(struct inspection *in)
{
	each(in, mend);
}

/* The hub hears every segment */

static void settle(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	begin(in, &c, &script_settle, KEY_HUB, 0);
	fence_put(&c, in->coupon.generation);
	redis_put_int(&c, i);
	redis_put_int(&c, in->numbering.bases[i]);
	redis_put_int(&c, in->at_hub.term);
	inspection_ask_hub_for(in, &c, s, expect_ok);
}

void inspection_settle(struct inspection *in)
{
	each(in, settle);
}

static void take_report(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	expect_ok(in, s, reply);
	s->left = redis_number_at(reply, 1);
	s->now.received = redis_number_at(reply, 2);
	s->now.sent = redis_number_at(reply, 3);
	s->now.base = redis_number_at(reply, 4);
	s->term = redis_number_at(reply, 5);
}

/* Segments that are open learn of the hub's term, and report what they hold. */
void inspection_ask_reports(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct redis_command c;
		if (!slot_may_report(&in->segments[i]))
			continue;
		begin(in, &c, &script_debit, KEY_SEGMENT, i);
		fence_put(&c, in->coupon.generation);
		redis_put_int(&c, 0);
		redis_put_int(&c, in->at_hub.term);
		inspection_ask(in, &c, &in->segments[i], take_report);
	}
}

void inspection_report(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		struct redis_command c;
		if (!slot_may_report(s))
			continue;
		const int64_t numbers[] = { i, s->now.received, s->now.sent, s->left, s->now.base, s->term, 0, 0 };
		begin(in, &c, &script_exchange, KEY_HUB, 0);
		fence_put(&c, in->coupon.generation);
		for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
			redis_put_int(&c, numbers[k]);
		inspection_ask_hub_for(in, &c, s, expect_ok);
	}
}

/*
 * Hub and segments that failed over together may both have forgotten a return, which another segment has sold since:
 * then the hub, once it has heard all, holds less than nothing, and segments that are not open yet give back what they
 * have.
 */
void inspection_give(struct inspection *in)
{
	int64_t missing = inspection_unheard(in) ? 0 : -in->at_hub.avail;
	for (int i = 0; i < in->coupon.segments && missing > 0; i++) {
		struct slot *s = &in->segments[i];
		struct redis_command c;
		if (!slot_is_at_work(s) || !s->left)
			continue;
		int64_t units = s->left < missing ? s->left : missing;
		missing -= units;
		begin_mend(in, &c, s, i);
		redis_put_text(&c, "");
		put_totals(in, &c, s->now.received, s->now.sent + units);
		inspection_ask(in, &c, s, take_mended);
	}
}

/* Units that a segment has given back are the hub's. */
static void take_given(struct inspection *in, struct slot *s, int i)
{
	if (s->now.sent > s->taken)
		admit(in, s, i);
}

void inspection_take_given(struct inspection *in)
{
	each(in, take_given);
}

/* Opening and closing */

static void take_opened(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	int64_t lost = redis_number_at(reply, 1);
	expect_ok(in, s, reply);
	if (lost > 0)
		log_error("orders_lost", LOG_INT("coupon", in->coupon.id), LOG_INT("segment", number_of(in, s)),
			  LOG_INT("count", lost));
}

/* Numbers that this host was told of and nobody has, of the base of the highest one: below it there may be none. */
static void put_lost(struct inspection *in, struct redis_command *c, const struct slot *s, int i)
{
	int64_t told = acknowledged_read(in->svc, in->coupon.id, i);
	if (told <= s->now.last) {
		redis_put_text(c, "");
		redis_put_text(c, "");
		return;
	}
	redis_put_int(c, higher(numbers_base(told), s->now.base) + 1);
	redis_put_int(c, told);
}

static void open_segment(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	char text[KEY_TEXT];
	redis_script(&c, &script_reopen, 3);
	key_put(&c, KEY_SEGMENT, in->coupon.id, i);
	key_put(&c, KEY_ORDERS, in->coupon.id, i);
	key_put(&c, KEY_OWNERS, in->coupon.id, i);
	redis_put(&c, s->fence);
	redis_put_int(&c, in->numbering.bases[i]);
	redis_put(&c, fence_in(in, text, s->run));
	put_lost(in, &c, s, i);
	inspection_ask(in, &c, s, take_opened);
}

void inspection_open(struct inspection *in)
{
	each(in, open_segment);
}

/* Only what is ours to close, and as it was read: a slot of another generation is recover's. */
void inspection_close(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		struct redis_command c;
		if (!s->suspect || !s->problem || s->away)
			continue;
		fence_quarantine_command(&c, KEY_SEGMENT, in->coupon.id, i, s->fence, in->coupon.generation);
		inspection_ask(in, &c, s, expect_ok);
	}
}
