/*
 * MySQL was restored from a backup in which orders are live that were over: the hub knows of more orders that are over
 * than MySQL. Their units may have been sold again, and there is no room for the orders that have them.
 *
 * A segment that lost nothing tells which orders these are: it sold them, and they have no owner any more. They are
 * cancelled again, unless there are more of them than the hub knows of: then something else is wrong, and nothing is
 * done about them.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "host/log.h"
#include "lifecycle/transition.h"
#include "recover/recovery.h"
#include "sale/db_status.h"
#include "sale/key.h"

enum { PAGE = 500, ENDED_MAX = 1 << 20 };

struct search {
	struct recovery *recovery;
	struct order_number *ended;
	int64_t count, most; /* at most one more than `most` is found */
};

/* How many orders are over by the hub, and live in MySQL. */
static enum status count_lacking(struct recovery *r, int64_t *lacking)
{
	struct db_rows rows;
	if (db_query_row(r->svc->db, r->arena, "SELECT COUNT(*) FROM orders WHERE coupon_id = ? AND status IN (3, 4)",
			 &rows, DB_N(r->coupon.id)))
		return db_status(r->svc->db, "recover");
	*lacking = r->hub.cancelled - db_row(&rows, 0)->number;
	return STATUS_OK;
}

/* The highest number of a segment that has all owners it should have; 0 of another one. */
static enum status read_last(struct recovery *r, int segment, int64_t *last)
{
	struct redis_command c;
	const struct redis_reply *fields = NULL, *owners = NULL;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, r->coupon.id, segment);
	redis_put_text(&c, "sold");
	redis_put_text(&c, "unowned");
	redis_put_text(&c, "last");
	if (redis_call(r->svc->redis_sync, r->arena, &c, &fields) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	redis_command(&c, "HLEN");
	key_put(&c, KEY_OWNERS, r->coupon.id, segment);
	if (redis_call(r->svc->redis_sync, r->arena, &c, &owners) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	bool is_whole = redis_number_at(fields, 0) == redis_number_at(fields, 1) + redis_number(owners);
	*last = is_whole ? redis_number_at(fields, 2) : 0;
	return STATUS_OK;
}

static enum status read_owners(struct search *s, struct arena *a, int segment, const struct db_rows *rows,
			       const struct redis_reply **owners)
{
	const struct recovery *r = s->recovery;
	struct redis_command c;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_OWNERS, r->coupon.id, segment);
	for (int i = 0; i < rows->count; i++)
		owner_put(&c, (struct owner){ db_row(rows, i)[1].number, (int)db_row(rows, i)[2].number });
	return redis_call(r->svc->redis_sync, a, &c, owners) == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}

static void note_ended(struct search *s, int segment, const struct db_rows *rows, const struct redis_reply *owners)
{
	for (int i = 0; i < rows->count && s->count <= s->most; i++) {
		int64_t number = db_row(rows, i)[0].number;
		if (redis_number_at(owners, (size_t)i) != number)
			s->ended[s->count++] = (struct order_number){ s->recovery->coupon.id, number, segment };
	}
}

static enum status search_segment(struct search *s, int segment)
{
	struct recovery *r = s->recovery;
	struct arena a = { 0 };
	struct db_rows rows = { 0 };
	const struct redis_reply *owners = NULL;
	int64_t last = 0, after = 0;
	enum status status = read_last(r, segment, &last);
	do {
		arena_reset(&a);
		if (status == STATUS_OK &&
		    db_query(
			    r->svc->db, &a,
			    "SELECT seq, user_id, unit FROM orders WHERE coupon_id = ? AND segment = ? AND seq > ? AND seq <= ? AND "
			    "live_user IS NOT NULL ORDER BY seq LIMIT ?",
			    &rows, DB_N(r->coupon.id), DB_N(segment), DB_N(after), DB_N(last), DB_N(PAGE)))
			status = db_status(r->svc->db, "recover");
		if (status != STATUS_OK || !rows.count)
			break;
		status = read_owners(s, &a, segment, &rows, &owners);
		if (status == STATUS_OK)
			note_ended(s, segment, &rows, owners);
		after = db_row(&rows, rows.count - 1)[0].number;
	} while (rows.count == PAGE && s->count <= s->most);
	arena_release(&a);
	return status;
}

static enum status cancel_all(const struct search *s)
{
	enum status status = STATUS_OK;
	for (int64_t i = 0; i < s->count && status == STATUS_OK; i++) {
		struct cancellation c = { .order = s->ended[i],
					  .actor = ACTOR_OPERATOR,
					  .reason = STR("it was over when MySQL was restored from an older backup") };
		status = order_cancel(s->recovery->svc, s->recovery->arena, &c);
	}
	return status;
}

static enum status end_orders(struct recovery *r, int64_t lacking)
{
	struct search s = { .recovery = r, .most = lacking < ENDED_MAX ? lacking : ENDED_MAX };
	enum status status = STATUS_OK;
	s.ended = alloc((size_t)(s.most + 1) * sizeof *s.ended);
	for (int i = 0; i < r->coupon.segments && status == STATUS_OK; i++)
		status = search_segment(&s, i);
	if (status == STATUS_OK) {
		log_warn("mysql_is_older", LOG_INT("coupon", r->coupon.id), LOG_INT("over", lacking),
			 LOG_INT("found", s.count));
		status = s.count <= s.most ? cancel_all(&s) : STATUS_OK;
	}
	free(s.ended);
	return status;
}

enum status recovery_end_orders(struct recovery *r)
{
	int64_t lacking = 0;
	enum status s = count_lacking(r, &lacking);
	return s == STATUS_OK && lacking > 0 ? end_orders(r, lacking) : s;
}
