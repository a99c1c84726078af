/*
 * The slots stand still, but drainers go on. So reading goes against the flow
 * of orders, the segment's numbers first, then its list, then MySQL's cursor,
 * and a drain never looks like a loss.
 */
#include "sale/inspect_part.h"

#include <stdio.h>

#include "base/parse.h"
#include "sale/drain_batch.h"
#include "sale/failure.h"
#include "sale/fence.h"
#include "sale/scripts.h"

/* Reading */

enum status inspection_begin(struct inspection *in, int64_t id)
{
	struct db_rows rows;
	if (db_query(in->svc->db, in->arena,
		     "SELECT segments, generation, hash_key FROM coupons WHERE id = ? AND published = 1", &rows,
		     DB_N(id)))
		return failure_of_db(in->svc->db, "inspect");
	const struct db_value *v = db_row(&rows, 0);
	int64_t segments;
	if (!rows.count || v[2].text.n != SIPHASH_KEY)
		return STATUS_NO_SUCH_COUPON;
	if (db_int(in->svc->db, &v[0], 1, SEGMENTS_MAX, &segments) ||
	    db_int(in->svc->db, &v[1], 1, NUMBER_MAX, &in->coupon.generation))
		return failure_of_db(in->svc->db, "inspect");
	in->coupon.id = id;
	in->coupon.segments = (int)segments;
	memcpy(in->coupon.hash_key, v[2].text.p, SIPHASH_KEY);
	in->segments = arena_alloc(in->arena, (size_t)in->coupon.segments * sizeof *in->segments);
	return STATUS_OK;
}

enum status inspection_read_cursors(struct inspection *in)
{
	struct db_rows rows;
	if (db_query(in->svc->db, in->arena, "SELECT segment, next_seq FROM drain_cursors WHERE coupon_id = ?", &rows,
		     DB_N(in->coupon.id)))
		return failure_of_db(in->svc->db, "inspect");
	for (int i = 0; i < in->coupon.segments; i++)
		in->segments[i].cursor = 1;
	for (int i = 0; i < rows.count; i++) {
		int64_t segment, next;
		if (cursor_row(in->svc->db, db_row(&rows, i), &segment, &next))
			return failure_of_db(in->svc->db, "inspect");
		if (segment < in->coupon.segments)
			in->segments[segment].cursor = next;
	}
	return STATUS_OK;
}

struct question {
	struct inspection *in;
	struct slot *slot;
	void (*read)(struct inspection *in, struct slot *s, const struct redis_reply *reply);
};

static void on_answer(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct question *q = context;
	if (end == REDIS_ANSWER)
		q->read(q->in, q->slot, reply);
	else if (end == REDIS_BROKEN)
		q->slot->problem = "holds what none of us wrote";
	else if (q->slot != &q->in->hub && !q->in->held)
		q->slot->away = q->in->away = true;
	else
		q->in->status = STATUS_UNAVAILABLE;
}

static void ask(struct inspection *in, const struct redis_command *c, struct slot *s,
		void (*read)(struct inspection *, struct slot *, const struct redis_reply *))
{
	struct question *q = arena_alloc(in->arena, sizeof *q);
	*q = (struct question){ in, s, read };
	redis_send(in->svc->redis_now, c, on_answer, q);
}

static void take_fence(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	s->fence = arena_str(in->arena, redis_text_at(reply, 0));
	s->is_old = !s->fence.n && redis_text_at(reply, 1).n;
}

static void take_new_fence(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	s->fence = arena_str(in->arena, redis_text(reply));
}

static void ask_fence(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	redis_command(&c, "HMGET");
	key_put(&c, key, in->coupon.id, i);
	redis_put_text(&c, "fence");
	redis_put_text(&c, "gen");
	ask(in, &c, s, take_fence);
}

/* From layout 0: from now on it is in doubt, like a slot whose server was restarted. */
static void upgrade_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->is_old)
		return;
	redis_script(&c, &script_upgrade, 1);
	key_put(&c, key, in->coupon.id, i);
	ask(in, &c, s, take_new_fence);
}

static void each(struct inspection *in, void (*act)(struct inspection *in, struct slot *s, enum key key, int i))
{
	for (int i = 0; i < in->coupon.segments; i++)
		act(in, &in->segments[i], KEY_SEGMENT, i);
	act(in, &in->hub, KEY_HUB, 0);
}

void inspection_ask_fences(struct inspection *in)
{
	each(in, ask_fence);
}

void inspection_upgrade(struct inspection *in)
{
	each(in, upgrade_slot);
}

static void take_segment(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->left = redis_number_at(reply, 0);
	s->n = redis_number_at(reply, 1);
	s->received = redis_number_at(reply, 2);
	s->sent = redis_number_at(reply, 3);
}

static int64_t sequence_of(const struct redis_reply *record)
{
	struct str rest = redis_text(record), piece;
	int64_t sequence = 0;
	if (parse_split(&rest, '|', &piece))
		parse_int(piece, 1, INT32_MAX, &sequence);
	return sequence;
}

static void take_first(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->first = sequence_of(reply);
}

static void take_last(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->last = sequence_of(reply);
}

static void ask_segment(struct inspection *in, int i)
{
	static const char *const fields[] = { "left", "n", "I", "O" };
	struct redis_command c;
	struct slot *s = &in->segments[i];
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, in->coupon.id, i);
	for (int f = 0; f < 4; f++)
		redis_put_text(&c, fields[f]);
	ask(in, &c, s, take_segment);
	for (int end = 0; end >= -1; end--) {
		redis_command(&c, "LINDEX");
		key_put(&c, KEY_ORDERS, in->coupon.id, i);
		redis_put_int(&c, end);
		ask(in, &c, s, end ? take_last : take_first);
	}
}

static void take_hub(struct inspection *in, struct slot *s, const struct redis_reply *hub)
{
	(void)s;
	for (int i = 0; i < in->coupon.segments; i++) {
		char name[16];
		snprintf(name, sizeof name, "G%d", i);
		in->segments[i].granted = redis_number(redis_member(hub, name));
		name[0] = 'R';
		in->segments[i].taken = redis_number(redis_member(hub, name));
	}
}

void inspection_ask_segments(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		if (!in->segments[i].away)
			ask_segment(in, i);
}

void inspection_ask_hub(struct inspection *in)
{
	struct redis_command c;
	redis_command(&c, "HGETALL");
	key_put(&c, KEY_HUB, in->coupon.id, 0);
	ask(in, &c, &in->hub, take_hub);
}

/* Judging */

static const char *judge_fence(struct inspection *in, struct slot *s, enum key key, int i)
{
	static const char unknown[] = "0000000000000000";
	char text[KEY_TEXT];
	if (!s->fence.n)
		return "is gone";
	if (fence_layout(s->fence) != LAYOUT)
		return arena_printf(in->arena, "has layout %lld, and this program knows layout %d",
				    (long long)fence_layout(s->fence), LAYOUT);
	if (fence_generation(s->fence) != in->coupon.generation)
		return "is of another generation";
	struct str stray = STR(FENCE_STRAY);
	if (s->fence.n > stray.n && memcmp(s->fence.p + s->fence.n - stray.n, stray.p, stray.n) == 0) {
		s->doubtful = true; /* MySQL knows it now */
		return NULL;
	}
	const char *at = memchr(s->fence.p, '@', s->fence.n);
	if (!at)
		return "was closed";
	struct str run = { at + 1, s->fence.n - (size_t)(at + 1 - s->fence.p) };
	const char *now = redis_run(in->svc->redis_now, key_text(text, key, in->coupon.id, i));
	if (strcmp(now, unknown) == 0)
		in->status = STATUS_UNAVAILABLE;
	s->doubtful = !str_eq(run, str_of(now));
	return NULL;
}

/*
 * Whether there is any doubt. A hub in doubt is compared with all segments; beside one that is not, a segment that is
 * away waits alone.
 */
bool inspection_judge_fences(struct inspection *in)
{
	bool doubt = false;
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		if (s->away)
			continue;
		s->problem = judge_fence(in, s, KEY_SEGMENT, i);
		doubt |= s->doubtful;
	}
	in->hub.problem = judge_fence(in, &in->hub, KEY_HUB, 0);
	if (in->away && in->hub.doubtful)
		in->status = STATUS_UNAVAILABLE;
	return doubt || in->hub.doubtful;
}

static const char *judge_list(const struct slot *s)
{
	if (!s->first || !s->last)
		return s->cursor <= s->n ? "misses orders that MySQL does not have" : NULL;
	if (s->first > s->cursor)
		return "misses orders before those on its list";
	return s->last != s->n ? "has a list that does not end with its last order" : NULL;
}

static const char *judge_numbers(struct inspection *in, int i)
{
	const struct slot *s = &in->segments[i];
	const struct {
		bool is;
		const char *problem;
	} wrongs[] = {
		{ s->n < s->cursor - 1, "went back in time: MySQL has later orders" },
		{ s->n < mark_read(fence_mark(in->svc->marks, &in->coupon, i)),
		  "went back in time: later orders were acknowledged" },
		{ s->taken > s->sent, "went back in time: the hub has taken more than it sent" },
		{ s->left != s->received - s->sent - s->n, "has numbers that do not add up" },
	};
	for (size_t k = 0; k < sizeof wrongs / sizeof wrongs[0]; k++)
		if (wrongs[k].is)
			return wrongs[k].problem;
	return judge_list(s);
}

/* Also of segments in their present life: they were read first, and both totals only grow. */
static void judge_grants(struct inspection *in)
{
	for (int i = 0; !in->hub.problem && i < in->coupon.segments; i++) {
		const struct slot *s = &in->segments[i];
		if (!s->problem && s->received > s->granted)
			in->hub.problem = "went back in time: a segment has more than it granted";
	}
}

void inspection_judge(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		if (!s->problem && s->doubtful)
			s->problem = judge_numbers(in, i);
	}
	judge_grants(in);
}

bool inspection_is_whole(const struct inspection *in)
{
	bool whole = !in->hub.problem;
	for (int i = 0; i < in->coupon.segments; i++)
		whole &= !in->segments[i].problem;
	return whole;
}
