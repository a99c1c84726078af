/*
 * First the slots in doubt are held, and the hub beside them: from then on
 * their numbers stand still, whatever life other processes believe in. They
 * are read, judged, and opened or closed, each from the hold that was put
 * there: where that is gone, somebody else has come, and nothing is done.
 *
 * Drainers go on. So reading goes against the flow of orders, the segment's
 * numbers first, then its list, then MySQL's cursor, and a drain never looks
 * like a loss.
 */
#include "sale/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/parse.h"
#include "sale/failure.h"
#include "sale/fence.h"

/*
 * An inspection lasts a few ms; whose hold is older than this was killed or stopped. Each process waits a little longer
 * than another, so that on a slow disk they do not take it from each other for ever.
 */
enum { HOLD_MS = 1000, HOLD_MORE_MS = 1000 };

struct slot {
	struct str fence; /* "" when it is gone */
	bool doubtful;    /* in another life, or not: then nothing is done to it */
	int64_t left, n, received, sent;
	int64_t first, last;    /* on the list; 0: it is empty */
	int64_t granted, taken; /* the hub's */
	int64_t cursor;
	const char *problem;
};

struct inspection {
	struct service *svc;
	struct arena *arena;
	struct coupon coupon; /* of which only id, segments, generation and hash_key are known */
	struct slot hub, *segments;
	char hold[KEY_TEXT];
	enum status status; /* what Redis did not answer, or could not */
	bool hub_was_open;  /* before it was held */
	bool outrun;        /* somebody else has come */
};

/* Reading */

static enum status read_coupon(struct inspection *in, int64_t id)
{
	struct db_rows rows;
	if (db_query(in->svc->db, in->arena,
		     "SELECT segments, generation, hash_key FROM coupons WHERE id = ? AND published = 1", &rows,
		     DB_N(id)))
		return failure_of_db(in->svc->db, "inspect");
	if (!rows.count || rows.values[2].text.n != SIPHASH_KEY)
		return STATUS_NO_SUCH_COUPON;
	in->coupon.id = id;
	in->coupon.segments = (int)rows.values[0].number;
	in->coupon.generation = rows.values[1].number;
	memcpy(in->coupon.hash_key, rows.values[2].text.p, SIPHASH_KEY);
	in->segments = arena_alloc(in->arena, (size_t)in->coupon.segments * sizeof *in->segments);
	return STATUS_OK;
}

static enum status read_cursors(struct inspection *in)
{
	struct db_rows rows;
	if (db_query(in->svc->db, in->arena, "SELECT segment, next_seq FROM drain_cursors WHERE coupon_id = ?", &rows,
		     DB_N(in->coupon.id)))
		return failure_of_db(in->svc->db, "inspect");
	for (int i = 0; i < in->coupon.segments; i++)
		in->segments[i].cursor = 1;
	for (int i = 0; i < rows.count; i++)
		if (rows.values[2 * i].number < in->coupon.segments)
			in->segments[rows.values[2 * i].number].cursor = rows.values[2 * i + 1].number;
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

static bool settle(struct inspection *in)
{
	redis_settle(in->svc->redis_now);
	return in->status == STATUS_OK && !in->outrun;
}

static void take_fence(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	s->fence = arena_str(in->arena, redis_text(reply));
}

static void ask_fence(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	redis_command(&c, "HGET");
	key_put(&c, key, in->coupon.id, i);
	redis_put_text(&c, "fence");
	ask(in, &c, s, take_fence);
}

static bool read_fences(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		ask_fence(in, &in->segments[i], KEY_SEGMENT, i);
	ask_fence(in, &in->hub, KEY_HUB, 0);
	return settle(in);
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

/* What a receiver has, before what its sender says it sent: both only grow. */
static enum status read_numbers(struct inspection *in)
{
	struct redis_command c;
	for (int i = 0; i < in->coupon.segments; i++)
		ask_segment(in, i);
	settle(in);
	FAULT(inspect_segments);
	redis_command(&c, "HGETALL");
	key_put(&c, KEY_HUB, in->coupon.id, 0);
	ask(in, &c, &in->hub, take_hub);
	return settle(in) ? read_cursors(in) : in->status;
}

/* Judging */

static const char *judge_fence(struct inspection *in, struct slot *s, enum key key, int i)
{
	static const char unknown[] = "0000000000000000";
	char text[KEY_TEXT];
	if (!s->fence.n)
		return "is gone";
	if (fence_generation(s->fence) != in->coupon.generation)
		return "is of another generation";
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

/* Whether there is any doubt. */
static bool judge_fences(struct inspection *in)
{
	bool doubt = false;
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		s->problem = judge_fence(in, s, KEY_SEGMENT, i);
		doubt |= s->doubtful;
	}
	in->hub.problem = judge_fence(in, &in->hub, KEY_HUB, 0);
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

static void judge(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		if (!s->problem && s->doubtful)
			s->problem = judge_numbers(in, i);
	}
	judge_grants(in);
}

static bool is_whole(const struct inspection *in)
{
	bool whole = !in->hub.problem;
	for (int i = 0; i < in->coupon.segments; i++)
		whole &= !in->segments[i].problem;
	return whole;
}

/* Acting */

static void on_change(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct inspection *in = context;
	if (end != REDIS_ANSWER)
		in->status = STATUS_UNAVAILABLE;
	else if (!str_eq(redis_text_at(reply, 0), STR("OK")))
		in->outrun = true;
}

static void change(struct inspection *in, const struct redis_command *c)
{
	redis_send(in->svc->redis_now, c, on_change, in);
}

static void hold_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->doubtful)
		return;
	if (llabs(clock_ms() - fence_held_ms(s->fence)) < HOLD_MS + getpid() % HOLD_MORE_MS)
		in->outrun = true; /* another inspection is at it */
	fence_hold_command(&c, key, in->coupon.id, i, s->fence, str_of(in->hold));
	if (!in->outrun)
		change(in, &c);
}

/* The hub first, in its present life, too: one inspection at a time, and no grants beside what is looked at. */
static bool hold(struct inspection *in)
{
	fence_hold_text(in->hold, in->coupon.generation);
	in->hub_was_open = !in->hub.problem && !in->hub.doubtful;
	in->hub.doubtful = !in->hub.problem;
	hold_slot(in, &in->hub, KEY_HUB, 0);
	if (!settle(in))
		return false;
	for (int i = 0; i < in->coupon.segments; i++)
		hold_slot(in, &in->segments[i], KEY_SEGMENT, i);
	return settle(in);
}

static void change_set(struct inspection *in, const char *command, enum key set, redis_done *done)
{
	struct redis_command c;
	redis_command(&c, command);
	key_put(&c, set, 0, 0);
	redis_put_text(&c, arena_printf(in->arena, "%lld:%d", (long long)in->coupon.id, in->coupon.segments));
	redis_send(in->svc->redis_now, &c, done, in);
}

static void open_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->doubtful)
		return;
	fence_open_command(&c, key, in->coupon.id, i, str_of(in->hold), in->coupon.generation);
	change(in, &c);
}

/* Only what is ours to close: a slot of another generation is recover's. */
static void close_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->doubtful)
		return;
	fence_close_command(&c, key, in->coupon.id, i, str_of(in->hold), in->coupon.generation);
	change(in, &c);
}

static bool each(struct inspection *in, void (*act)(struct inspection *in, struct slot *s, enum key key, int i))
{
	for (int i = 0; i < in->coupon.segments; i++)
		act(in, &in->segments[i], KEY_SEGMENT, i);
	act(in, &in->hub, KEY_HUB, 0);
	return settle(in);
}

static void log_problem(const struct inspection *in, const char *slot, int i, const char *problem)
{
	if (problem)
		log_error("coupon_closed", LOG_INT("coupon", in->coupon.id), LOG_TEXT("slot", slot),
			  LOG_INT("number", i), LOG_TEXT("problem", problem));
}

/* Once, not at every look. */
static void take_news(void *context, enum redis_end end, const struct redis_reply *reply)
{
	const struct inspection *in = context;
	if (end != REDIS_ANSWER || redis_number(reply) != 1)
		return;
	log_problem(in, "hub", 0, in->hub.problem);
	for (int i = 0; i < in->coupon.segments; i++)
		log_problem(in, "segment", i, in->segments[i].problem);
}

static enum status conclude(struct inspection *in)
{
	bool whole = is_whole(in);
	change_set(in, whole ? "SREM" : "SADD", KEY_CLOSED, whole ? NULL : take_news);
	change_set(in, "SREM", KEY_DOUBT, NULL);
	redis_settle(in->svc->redis_now);
	return whole ? STATUS_OK : STATUS_FENCED;
}

/* The coupon stays in doubt, and is looked at again. */
static enum status undecided(const struct inspection *in)
{
	return in->status != STATUS_OK ? in->status : STATUS_BUSY;
}

/* Segments that are well do not wait for a server that is not: nothing has moved since the hub was held. */
static enum status let_go(struct inspection *in, enum status s)
{
	if (in->hub_was_open)
		open_slot(in, &in->hub, KEY_HUB, 0);
	redis_settle(in->svc->redis_now);
	return s;
}

enum status inspect_coupon(struct service *svc, struct arena *a, int64_t coupon)
{
	struct inspection in = { .svc = svc, .arena = a, .status = STATUS_OK };
	enum status s = read_coupon(&in, coupon);
	if (s != STATUS_OK)
		return s;
	if (!read_fences(&in))
		return undecided(&in);
	bool doubt = judge_fences(&in);
	if (in.status != STATUS_OK)
		return undecided(&in);
	if (!doubt)
		return conclude(&in);
	if (!hold(&in))
		return let_go(&in, undecided(&in));
	FAULT(inspect_held);
	s = read_numbers(&in);
	if (s != STATUS_OK)
		return let_go(&in, s);
	judge(&in);
	FAULT(inspect_judged);
	return each(&in, is_whole(&in) ? open_slot : close_slot) ? conclude(&in) : undecided(&in);
}

static bool inspect_member(struct service *svc, struct arena *a, struct str member)
{
	struct str rest = member, piece;
	struct redis_command c;
	int64_t coupon = 0;
	if (parse_split(&rest, ':', &piece) && parse_int(piece, 1, INT64_MAX, &coupon)) {
		enum status s = inspect_coupon(svc, a, coupon);
		if (s != STATUS_NO_SUCH_COUPON)
			return s != STATUS_UNAVAILABLE;
	}
	redis_command(&c, "SREM");
	key_put(&c, KEY_DOUBT, 0, 0);
	redis_put(&c, member);
	return redis_call(svc->redis_now, a, &c, NULL) == REDIS_ANSWER;
}

/* Each time from another one on: what is away of one coupon does not hold up the others for long. */
bool inspect_doubtful(struct service *svc, struct arena *a)
{
	enum { SOME = 64 };
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SRANDMEMBER");
	key_put(&c, KEY_DOUBT, 0, 0);
	redis_put_int(&c, SOME);
	bool well = redis_call(svc->redis_now, a, &c, &members) == REDIS_ANSWER;
	size_t count = redis_count(members), first = count ? (size_t)clock_mono_ms() % count : 0;
	for (size_t i = 0; well && i < count; i++)
		well = inspect_member(svc, a, redis_text_at(members, (first + i) % count));
	return well;
}

static bool read_title(struct service *svc, struct arena *a, int64_t id, struct str *title)
{
	struct db_rows rows;
	struct buf text;
	if (db_query(svc->db, a,
		     "SELECT u.name, c.name FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?", &rows,
		     DB_N(id)) ||
	    !rows.count)
		return false;
	buf_init(&text, a);
	buf_put(&text, rows.values[0].text);
	buf_puts(&text, "/");
	buf_put(&text, rows.values[1].text);
	*title = buf_str(&text);
	return true;
}

enum status inspect_closed(struct service *svc, struct arena *a, struct str **titles, int *count)
{
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SMEMBERS");
	key_put(&c, KEY_CLOSED, 0, 0);
	if (redis_call(svc->redis_now, a, &c, &members) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	*titles = arena_alloc(a, (redis_count(members) + 1) * sizeof **titles);
	*count = 0;
	for (size_t i = 0; i < redis_count(members); i++) {
		struct str rest = redis_text_at(members, i), id;
		int64_t coupon;
		if (parse_split(&rest, ':', &id) && parse_int(id, 1, INT64_MAX, &coupon))
			*count += read_title(svc, a, coupon, &(*titles)[*count]);
	}
	return db_failure(svc->db) == DB_AWAY ? STATUS_UNAVAILABLE : STATUS_OK;
}
