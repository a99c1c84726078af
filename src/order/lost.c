#include "order/lost.h"

#include "base/clock.h"
#include "host/fault.h"
#include "host/log.h"
#include "order/dead_letter.h"
#include "order/known.h"
#include "order/trace.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/numbers.h"

/* What is known of an order that may be lost. */
struct look {
	struct service *svc;
	struct arena *arena;
	const struct lost_candidate *candidate;
	int64_t base;       /* of the segment, when the order was looked for there */
	int64_t claimed_ms; /* as the customer's list has it */
};

/* The find_ functions: STATUS_OK: found; STATUS_NO_SUCH_ORDER: not there, so the search goes on; another: it ends. */

/* Finds an order or a dead letter. */
static enum status find_in_mysql(const struct look *l)
{
	const struct lost_candidate *c = l->candidate;
	struct known known = { .number = c->number };
	struct known_numbers numbers = { .coupon = c->coupon, .segment = c->segment, .at = &known, .count = 1 };
	if (known_read(l->svc, l->arena, &numbers))
		return db_status(l->svc->db, "lost");
	if (known.user && c->user && known.user != c->user)
		log_error_limited("drain_sequence_reused", LOG_INT("coupon", c->coupon), LOG_INT("segment", c->segment),
				  LOG_INT("sequence", c->number), LOG_INT("user", c->user));
	return known.user || known.letter ? STATUS_OK : STATUS_NO_SUCH_ORDER;
}

static struct trace new_trace(const struct lost_candidate *c)
{
	return (struct trace){ .number = { c->coupon, c->number, c->segment }, .user = c->user };
}

/*
 * The customer's list is the evidence that an order was acknowledged. STATUS_NO_SUCH_ORDER: the list names the order,
 * so the search goes on. STATUS_OK: the list does not name it, so there is nothing to look for.
 */
static enum status check_acknowledged(struct look *l)
{
	struct trace t = new_trace(l->candidate);
	enum status s = trace_customer_list(l->svc, l->arena, &t);
	l->claimed_ms = t.listed_ms;
	return s == STATUS_OK && t.listed_ms ? STATUS_NO_SUCH_ORDER : s;
}

/* A coupon that MySQL does not have is a stray: its orders count as found, so that they are left as they are. */
static enum status find_in_segment(struct look *l)
{
	struct db_rows rows;
	struct trace t = new_trace(l->candidate);
	if (db_query(l->svc->db, l->arena, "SELECT generation FROM coupons WHERE id = ? AND segments > ?", &rows,
		     DB_N(t.number.coupon), DB_N(t.number.segment)))
		return db_status(l->svc->db, "lost");
	if (!rows.count)
		return STATUS_OK;
	t.generation = db_row(&rows, 0)->number;
	enum status s = trace_segment(l->svc, l->arena, &t);
	if (s != STATUS_OK)
		return s;
	l->base = t.base;
	if (t.segment != STATUS_OK || t.base < 0)
		return STATUS_BUSY;
	return t.is_on_list || t.owned_unit ? STATUS_OK : STATUS_NO_SUCH_ORDER;
}

/*
 * MySQL first, because it usually has the order. After STATUS_NO_SUCH_ORDER the caller asks MySQL again (name_as_lost),
 * because a drainer may have moved the order from Redis meanwhile.
 */
static enum status find(struct look *l)
{
	enum status s = find_in_mysql(l);
	if (s == STATUS_NO_SUCH_ORDER)
		s = check_acknowledged(l);
	if (s == STATUS_NO_SUCH_ORDER)
		s = find_in_segment(l);
	return s;
}

/* Of which unit the order was is not known. */
static enum status bury(struct look *l)
{
	char text[ORDER_RECORD_TEXT];
	struct service *svc = l->svc;
	const struct lost_candidate *c = l->candidate;
	const struct order_record record = {
		.sequence = c->number, .user = c->user, .unit = 1, .claimed_ms = l->claimed_ms
	};
	if (dead_letter_bury(svc, &(struct dead_letter){ .coupon = c->coupon,
							 .segment = c->segment,
							 .sequence = c->number,
							 .record = order_record_text(text, &record),
							 .reason = STR(REASON_LOST_FOUND) }) < 0 ||
	    db_commit(svc->db))
		return db_status(svc->db, "lost");
	stats_add(svc->stats, COUNT_dead_letters_total, 1);
	FAULT(lost_named);
	return STATUS_OK;
}

/*
 * Holds the cursor's lock, so that no drainer commits the order meanwhile. Names nothing if the segment's base has
 * changed since the segment was searched, because the segment may have the order now; and no number at or above the
 * cursor, because no drainer has read it yet.
 */
static enum status name_as_lost(struct look *l)
{
	struct cursor cursor;
	struct service *svc = l->svc;
	const struct lost_candidate *c = l->candidate;
	if (db_begin(svc->db) || cursor_lock(svc, l->arena, c->coupon, c->segment, &cursor))
		return db_status(svc->db, "lost");
	if (cursor.base != l->base)
		return STATUS_BUSY;
	enum status found = find_in_mysql(l);
	if (found != STATUS_NO_SUCH_ORDER)
		return found;
	return c->number < cursor.next ? bury(l) : STATUS_OK;
}

static enum status name(struct look *l)
{
	enum status s = name_as_lost(l);
	db_rollback(l->svc->db);
	return s;
}

enum status lost_decide(struct service *svc, struct arena *a, const struct lost_candidate *c)
{
	struct look l = { svc, a, c, 0, 0 };
	enum status found = find(&l);
	if (found != STATUS_NO_SUCH_ORDER)
		return found;
	FAULT(lost_looked);
	return name(&l);
}

enum status lost_name(struct service *svc, struct arena *a, const struct lost_candidate *c, int64_t base,
		      int64_t claimed_ms)
{
	struct look l = { svc, a, c, base, claimed_ms };
	return name(&l);
}

/* Numbers that a host acknowledged */

static enum status look_for_number(struct look *l)
{
	enum status s = find_in_mysql(l);
	if (s == STATUS_NO_SUCH_ORDER)
		s = find_in_segment(l);
	if (s != STATUS_NO_SUCH_ORDER)
		return s;
	l->claimed_ms = clock_ms();
	return name(l);
}

enum status lost_acknowledged(struct service *svc, struct arena *a, int64_t coupon, int segment, int64_t number)
{
	struct ranges r;
	enum status s = ranges_read(svc, a, coupon, segment, &r);
	if (s != STATUS_OK || ranges_place(&r, number) >= 0)
		return s;
	if (number > r.at[r.count - 1].base) /* it is of the present base: nothing was lost */
		return STATUS_OK;
	struct range range = ranges_of(&r, number);
	for (int64_t n = range.base + range.count + 1; s == STATUS_OK && n <= number; n++) {
		const struct lost_candidate one = { .coupon = coupon, .number = n, .segment = segment };
		struct look l = { svc, a, &one, 0, 0 };
		s = look_for_number(&l);
	}
	if (s == STATUS_OK && numbers_extend_range(svc, coupon, segment, range.base, number))
		s = db_status(svc->db, "lost");
	return s;
}

/* Entries of sk:lost: "12-3-45:6" */

static void remove_lost(struct redis *r, struct str member)
{
	struct redis_command c;
	redis_command(&c, "SREM");
	key_put(&c, KEY_LOST, 0, 0);
	redis_put(&c, member);
	redis_send(r, &c, NULL, NULL);
}

/* STATUS_OK: the entry is decided, or cannot be read, and can be removed. */
static enum status decide_member(struct service *svc, struct arena *a, struct str member)
{
	struct lost_candidate c;
	if (!worklist_read_lost(member, &c))
		return STATUS_OK;
	return c.user ? lost_decide(svc, a, &c) : lost_acknowledged(svc, a, c.coupon, c.segment, c.number);
}

bool lost_decide_some(struct service *svc, struct arena *a)
{
	enum { SOME = 16 };
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SRANDMEMBER");
	key_put(&c, KEY_LOST, 0, 0);
	redis_put_int(&c, SOME);
	bool answered = redis_call(svc->redis_sync, a, &c, &members) == REDIS_ANSWER;
	for (size_t i = 0; answered && i < redis_count(members); i++) {
		struct str member = redis_text_at(members, i);
		enum status s = decide_member(svc, a, member);
		if (s == STATUS_OK)
			remove_lost(svc->redis_sync, member);
		answered = s == STATUS_OK || s == STATUS_BUSY;
	}
	redis_wait_all(svc->redis_sync);
	return answered;
}
