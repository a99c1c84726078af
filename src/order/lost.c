#include "order/lost.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/fault.h"
#include "host/log.h"
#include "order/dead_letter.h"
#include "order/known.h"
#include "order/order.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/numbers.h"
#include "sale/order_number.h"
#include "sale/scripts.h"

/* What is known of an order that may be lost. */
struct look {
	struct service *svc;
	struct arena *arena;
	const struct lost_candidate *suspicion;
	int64_t base;       /* of its segment, when that was read */
	int64_t claimed_ms; /* as its customer's list says */
};

/* An order, or a dead letter. */
static enum status find_in_mysql(const struct look *l)
{
	const struct lost_candidate *s = l->suspicion;
	struct known known = { .number = s->number };
	if (known_read(l->svc, l->arena, s->coupon, s->segment, &known, 1))
		return db_status(l->svc->db, "lost");
	if (known.user && s->user && known.user != s->user)
		log_error_limited("drain_sequence_reused", LOG_INT("coupon", s->coupon), LOG_INT("segment", s->segment),
				  LOG_INT("sequence", s->number), LOG_INT("user", s->user));
	return known.user || known.letter ? STATUS_OK : STATUS_NO_SUCH_ORDER;
}

/* The customer's list is the only evidence: what is not in it either was told to nobody. */
static enum status find_in_customers_list(struct look *l)
{
	char order[ORDER_NUMBER_TEXT];
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	const struct lost_candidate *s = l->suspicion;
	redis_command(&c, "ZSCORE");
	key_put(&c, KEY_CUSTOMER, s->user, 0);
	redis_put(&c, order_number_text(order, s->coupon, s->segment, s->number));
	if (redis_call(l->svc->redis_sync, l->arena, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	return redis_number_in(reply, 1, NUMBER_MAX, &l->claimed_ms) ? STATUS_NO_SUCH_ORDER : STATUS_OK;
}

static enum status find_in_segment(struct look *l)
{
	struct redis_command c;
	struct db_rows rows;
	const struct redis_reply *reply = NULL;
	const struct lost_candidate *s = l->suspicion;
	if (db_query(l->svc->db, l->arena, "SELECT generation FROM coupons WHERE id = ? AND segments > ?", &rows,
		     DB_N(s->coupon), DB_N(s->segment)))
		return db_status(l->svc->db, "lost");
	if (!rows.count)
		return STATUS_OK; /* a stray's orders stay as they are */
	redis_script(&c, &script_trace, 3);
	key_put(&c, KEY_SEGMENT, s->coupon, s->segment);
	key_put(&c, KEY_OWNERS, s->coupon, s->segment);
	key_put(&c, KEY_ORDERS, s->coupon, s->segment);
	fence_put(&c, db_row(&rows, 0)->number);
	redis_put_int(&c, s->number);
	redis_put_int(&c, s->user);
	if (redis_call(l->svc->redis_sync, l->arena, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	if (redis_number_at(reply, 0) != 1 || !redis_number_in(redis_at(reply, 5), 0, NUMBER_MAX, &l->base))
		return STATUS_BUSY;
	bool is_on_list = redis_text_at(reply, 2).n > 0, is_owned = redis_number_at(reply, 3) == s->number;
	return is_on_list || is_owned ? STATUS_OK : STATUS_NO_SUCH_ORDER;
}

/* MySQL first, which mostly has it; and again at the end, as it may have moved there from Redis meanwhile. */
static enum status find(struct look *l)
{
	enum status s = find_in_mysql(l);
	if (s == STATUS_NO_SUCH_ORDER)
		s = find_in_customers_list(l);
	if (s == STATUS_NO_SUCH_ORDER)
		s = find_in_segment(l);
	return s;
}

/*
 * Under the cursor's lock, so that no drainer commits it meanwhile; and only in the incarnation that was read, as
 * another one may have it. Numbers from the cursor on have come to no drainer yet.
 */
static enum status name(struct look *l)
{
	char text[KEY_TEXT];
	struct db_rows rows;
	struct cursor cursor = { 0, 1 };
	int64_t segment;
	struct service *svc = l->svc;
	const struct lost_candidate *s = l->suspicion;
	if (db_begin(svc->db) ||
	    db_query(svc->db, l->arena,
		     "SELECT " CURSOR_COLUMNS " FROM drain_cursors WHERE coupon_id = ? AND segment = ? FOR UPDATE",
		     &rows, DB_N(s->coupon), DB_N(s->segment)) ||
	    (rows.count && cursor_row(svc->db, db_row(&rows, 0), &segment, &cursor)))
		return db_status(svc->db, "lost");
	if (cursor.base != l->base)
		return STATUS_BUSY;
	enum status found = find_in_mysql(l);
	if (found != STATUS_NO_SUCH_ORDER || s->number >= cursor.next)
		return found == STATUS_NO_SUCH_ORDER ? STATUS_OK : found;
	if (s->user)
		snprintf(text, sizeof text, "%lld|%lld|%lld", (long long)s->number, (long long)s->user,
			 (long long)l->claimed_ms);
	else
		snprintf(text, sizeof text, "%lld|?|%lld", (long long)s->number, (long long)l->claimed_ms);
	if (dead_letter_bury(svc, s->coupon, s->segment, s->number, str_of(text), REASON_LOST_FOUND) < 0 ||
	    db_commit(svc->db))
		return db_status(svc->db, "lost");
	stats_add(svc->stats, COUNT_dead_letters_total, 1);
	FAULT(lost_named);
	return STATUS_OK;
}

enum status lost_find(struct service *svc, struct arena *a, const struct lost_candidate *s)
{
	struct look l = { svc, a, s, 0, 0 };
	enum status found = find(&l);
	return found == STATUS_NO_SUCH_ORDER ? find_in_mysql(&l) : found;
}

enum status lost_look(struct service *svc, struct arena *a, const struct lost_candidate *s)
{
	struct look l = { svc, a, s, 0, 0 };
	enum status found = find(&l);
	if (found != STATUS_NO_SUCH_ORDER)
		return found;
	FAULT(lost_looked);
	found = name(&l);
	db_rollback(svc->db);
	return found;
}

enum status lost_name(struct service *svc, struct arena *a, const struct lost_candidate *s, int64_t base,
		      int64_t claimed_ms)
{
	struct look l = { svc, a, s, base, claimed_ms };
	enum status named = name(&l);
	db_rollback(svc->db);
	return named;
}

/* What a host was told */

static enum status name_told(struct look *l)
{
	enum status s = find_in_mysql(l);
	if (s == STATUS_NO_SUCH_ORDER)
		s = find_in_segment(l);
	if (s == STATUS_NO_SUCH_ORDER) {
		l->claimed_ms = clock_ms();
		s = name(l);
		db_rollback(l->svc->db);
	}
	return s;
}

static enum status reach(struct service *svc, int64_t coupon, int segment, int64_t base, int64_t number)
{
	return numbers_found(svc, coupon, segment, base, number) ? db_status(svc->db, "lost") : STATUS_OK;
}

enum status lost_told(struct service *svc, struct arena *a, int64_t coupon, int segment, int64_t number)
{
	struct ranges r;
	enum status s = ranges_read(svc, a, coupon, segment, &r);
	if (s != STATUS_OK || ranges_place(&r, number) >= 0)
		return s;
	if (number > r.at[r.count - 1].base) /* of the present base, where nothing is lost */
		return STATUS_OK;
	struct range range = ranges_of(&r, number);
	for (int64_t n = range.base + range.count + 1; s == STATUS_OK && n <= number; n++) {
		const struct lost_candidate one = { .coupon = coupon, .number = n, .segment = segment };
		struct look l = { svc, a, &one, 0, 0 };
		s = name_told(&l);
	}
	return s == STATUS_OK ? reach(svc, coupon, segment, range.base, number) : s;
}

/* The set of those that workers suspect: "12-3-45:6" */

static void leave_set(struct redis *r, struct str member)
{
	struct redis_command c;
	redis_command(&c, "SREM");
	key_put(&c, KEY_LOST, 0, 0);
	redis_put(&c, member);
	redis_send(r, &c, NULL, NULL);
}

bool lost_look_at_some(struct service *svc, struct arena *a)
{
	enum { MOST = 16 };
	struct redis_command c;
	struct lost_candidate s;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SRANDMEMBER");
	key_put(&c, KEY_LOST, 0, 0);
	redis_put_int(&c, MOST);
	bool well = redis_call(svc->redis_sync, a, &c, &members) == REDIS_ANSWER;
	for (size_t i = 0; well && i < redis_count(members); i++) {
		struct str member = redis_text_at(members, i);
		enum status found = STATUS_OK;
		if (worklist_read_lost(member, &s))
			found = s.user ? lost_look(svc, a, &s) : lost_told(svc, a, s.coupon, s.segment, s.number);
		if (found == STATUS_OK)
			leave_set(svc->redis_sync, member);
		well = found == STATUS_OK || found == STATUS_BUSY;
	}
	redis_wait_all(svc->redis_sync);
	return well;
}
