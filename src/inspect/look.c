/* What slots hold is read while others write: it decides nothing before inspect_mend.c has compared it again. */
#include "inspect/inspect_part.h"

#include <stdio.h>

#include "base/parse.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/scripts.h"

/* Reading */

enum status inspection_begin(struct inspection *in, int64_t id)
{
	struct db_rows rows;
	if (db_query(in->svc->db, in->arena,
		     "SELECT segments, generation, hash_key, seller_id FROM coupons WHERE id = ? AND published = 1",
		     &rows, DB_N(id)))
		return db_status(in->svc->db, "inspect");
	const struct db_value *v = db_row(&rows, 0);
	int64_t segments;
	if (!rows.count || v[2].text.n != SIPHASH_KEY)
		return STATUS_NO_SUCH_COUPON;
	if (db_int(in->svc->db, &v[0], 1, SEGMENTS_MAX, &segments) ||
	    db_int(in->svc->db, &v[1], 1, NUMBER_MAX, &in->coupon.generation))
		return db_status(in->svc->db, "inspect");
	in->coupon.id = id;
	in->coupon.seller = v[3].number;
	in->coupon.segments = (int)segments;
	memcpy(in->coupon.hash_key, v[2].text.p, SIPHASH_KEY);
	in->segments = arena_alloc(in->arena, (size_t)segments * sizeof *in->segments);
	in->cursors = arena_alloc(in->arena, (size_t)segments * sizeof *in->cursors);
	return cursors_read(in->svc, in->arena, id, (int)segments, in->cursors);
}

struct question {
	struct inspection *in;
	struct slot *slot, *asked;
	slot_reader *read;
};

static void on_answer(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct question *q = context;
	if (end == REDIS_ANSWER)
		q->read(q->in, q->slot, reply);
	else if (end == REDIS_BROKEN)
		q->asked->problem = "has a value of another Redis type than this program writes";
	else if (q->asked != &q->in->hub)
		q->asked->away = q->in->away = true;
	else
		q->in->status = STATUS_UNAVAILABLE;
}

static void ask(struct inspection *in, const struct redis_command *c, struct slot *s, struct slot *asked,
		slot_reader *read)
{
	struct question *q = arena_alloc(in->arena, sizeof *q);
	*q = (struct question){ in, s, asked, read };
	redis_send(in->svc->redis_sync, c, on_answer, q);
}

void inspection_ask(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *read)
{
	ask(in, c, s, s, read);
}

void inspection_ask_hub_for(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *read)
{
	ask(in, c, s, &in->hub, read);
}

/* The life that the server is in by now: whoever has read a slot in it acts in it, or not at all. */
static void read_fence(struct inspection *in, struct slot *s, enum key key, int i, struct str fence,
		       struct str generation)
{
	char text[KEY_TEXT];
	s->fence = arena_str(in->arena, fence);
	s->run = arena_str(in->arena,
			   str_of(redis_incarnation(in->svc->redis_sync, key_text(text, key, in->coupon.id, i))));
	s->is_old = s->fence.n ? fence_layout(s->fence) < LAYOUT : generation.n > 0;
}

static int number_of(const struct inspection *in, const struct slot *s)
{
	return (int)(s - in->segments);
}

/* A slot that lacks a number has another one than what it should have: none is below 0. */
static int64_t whole(const struct redis_reply *reply)
{
	int64_t number = -1;
	redis_number_in(reply, 0, NUMBER_MAX, &number);
	return number;
}

static void take_segment(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	read_fence(in, s, KEY_SEGMENT, number_of(in, s), redis_text_at(reply, 0), redis_text_at(reply, 1));
	s->now.sold = whole(redis_at(reply, 2));
	s->now.last = whole(redis_at(reply, 3));
	s->now.received = whole(redis_at(reply, 4));
	s->now.sent = whole(redis_at(reply, 5));
	s->now.base = whole(redis_at(reply, 6));
	s->term = whole(redis_at(reply, 7));
}

static void ask_segment(struct inspection *in, int i)
{
	static const char *const fields[] = { "fence", "gen", "sold", "last", "I", "O", "base", "term" };
	struct redis_command c;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, in->coupon.id, i);
	for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
		redis_put_text(&c, fields[f]);
	inspection_ask(in, &c, &in->segments[i], take_segment);
}

static int64_t hub_total(const struct redis_reply *hub, char kind, int segment)
{
	char name[16];
	snprintf(name, sizeof name, "%c%d", kind, segment);
	return redis_number(redis_member(hub, name));
}

static void take_hub(struct inspection *in, struct slot *s, const struct redis_reply *hub)
{
	read_fence(in, s, KEY_HUB, 0, redis_text(redis_member(hub, "fence")), redis_text(redis_member(hub, "gen")));
	struct str heard = redis_text(redis_member(hub, "heard"));
	for (int i = 0; i < in->coupon.segments; i++) {
		in->segments[i].unheard = (size_t)i >= heard.n || heard.p[i] != '1';
		in->segments[i].granted = hub_total(hub, 'G', i);
		in->segments[i].taken = hub_total(hub, 'R', i);
		in->segments[i].hub_base = hub_total(hub, 'B', i);
	}
	in->at_hub.term = redis_number(redis_member(hub, "term"));
	in->at_hub.avail = redis_number(redis_member(hub, "avail"));
	in->at_hub.epoch = redis_number(redis_member(hub, "epoch"));
	in->at_hub.opening = redis_number(redis_member(hub, "opening")) == 1;
}

int inspection_unheard(const struct inspection *in)
{
	int unheard = 0;
	for (int i = 0; i < in->coupon.segments; i++)
		unheard += in->segments[i].unheard;
	return unheard;
}

void inspection_ask_hub(struct inspection *in)
{
	struct redis_command c;
	redis_command(&c, "HGETALL");
	key_put(&c, KEY_HUB, in->coupon.id, 0);
	inspection_ask(in, &c, &in->hub, take_hub);
}

void inspection_ask_slots(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		ask_segment(in, i);
	inspection_ask_hub(in);
}

static void take_upgraded(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)s;
	(void)reply;
	in->outrun = true; /* it is read anew */
}

static void upgrade_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->is_old)
		return;
	redis_script(&c, &script_upgrade, 1);
	key_put(&c, key, in->coupon.id, i);
	inspection_ask(in, &c, s, take_upgraded);
}

void inspection_upgrade(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		upgrade_slot(in, &in->segments[i], KEY_SEGMENT, i);
	upgrade_slot(in, &in->hub, KEY_HUB, 0);
}

static int64_t number_at_head(const struct redis_reply *record)
{
	struct str rest = redis_text(record), piece;
	int64_t number = redis_type(record) == REDIS_NIL ? 0 : -1;
	if (parse_split(&rest, '|', &piece))
		parse_int(piece, 1, NUMBER_MAX, &number);
	return number;
}

static void take_first(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->first = number_at_head(reply);
}

static void take_end(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->end = number_at_head(reply);
}

static void take_owners(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->ownerless = str_eq(redis_text_at(reply, 0), STR("0")) && !redis_count(redis_at(reply, 1));
}

/* Once more, now that they have their bases: whoever was given a higher one has read later. */
void inspection_ask_segments(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		if (!slot_is_at_work(s))
			continue;
		struct redis_command c;
		ask_segment(in, i);
		redis_command(&c, "HSCAN");
		key_put(&c, KEY_OWNERS, in->coupon.id, i);
		redis_put_text(&c, "0");
		redis_put_text(&c, "COUNT");
		redis_put_text(&c, "1");
		inspection_ask(in, &c, s, take_owners);
		for (int end = 0; end >= -1; end--) {
			redis_command(&c, "LINDEX");
			key_put(&c, KEY_ORDERS, in->coupon.id, i);
			redis_put_int(&c, end);
			inspection_ask(in, &c, s, end ? take_end : take_first);
		}
	}
}

/* Judging */

static bool ends_with(struct str fence, struct str end)
{
	return fence.n > end.n && memcmp(fence.p + fence.n - end.n, end.p, end.n) == 0;
}

static bool is_of_a_recovery(struct str fence)
{
	return ends_with(fence, STR(FENCE_RECOVERING)) || ends_with(fence, STR(FENCE_RECOVERED));
}

static const char *judge_fence(struct inspection *in, struct slot *s)
{
	static const char unknown[] = "0000000000000000";
	if (!s->fence.n)
		return "is gone";
	if (fence_layout(s->fence) != LAYOUT)
		return arena_printf(in->arena, "has layout %lld, and this program knows layout %d",
				    (long long)fence_layout(s->fence), LAYOUT);
	int64_t generation = fence_generation(s->fence);
	s->unfinished = (generation && generation < in->coupon.generation) || is_of_a_recovery(s->fence);
	if (generation != in->coupon.generation)
		return "is of another generation";
	if (ends_with(s->fence, STR(FENCE_STRAY))) {
		s->suspect = true; /* MySQL knows it now */
		return NULL;
	}
	if (!memchr(s->fence.p, '@', s->fence.n))
		return "was closed";
	if (str_eq(s->run, STR(unknown)) && s != &in->hub)
		s->away = in->away = true;
	else if (str_eq(s->run, STR(unknown)))
		in->status = STATUS_UNAVAILABLE;
	s->suspect = !s->away && !str_eq(fence_incarnation(s->fence), s->run);
	return NULL;
}

/* It was opened, and another inspection was given a later base, or has told the hub so: nothing of it is drained. */
static bool is_replaced(const struct inspection *in, const struct slot *s)
{
	return s->now.base < in->cursors[number_of(in, s)].base || s->now.base < s->hub_base;
}

bool inspection_judge_fences(struct inspection *in)
{
	bool doubt = false;
	in->hub.problem = judge_fence(in, &in->hub);
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		if (s->away)
			continue;
		s->problem = judge_fence(in, s);
		s->suspect |= !s->problem && !s->away && is_replaced(in, s);
		doubt |= s->suspect || slot_may_report(s);
	}
	return doubt || in->hub.suspect;
}

/* Numbers of its present base from the cursor on are on its list, or there is no such number. */
static const char *judge_list(const struct inspection *in, const struct slot *s)
{
	struct cursor cursor = in->numbering.before[number_of(in, s)];
	if (cursor.base < s->now.base)
		return "has numbers that MySQL has not handed out: MySQL went back in time";
	if (s->first < 0 || s->end < 0)
		return NULL; /* no order: the drainers see to it */
	if (cursor.base != s->now.base || cursor.next > s->now.last)
		return NULL;
	if (!s->first)
		return "misses orders that MySQL does not have";
	if (s->first > cursor.next)
		return "misses orders before those on its list";
	return s->end != s->now.last ? "has a list that does not end with its last order" : NULL;
}

static const char *judge_numbers(const struct inspection *in, const struct slot *s)
{
	if (s->now.sold < 0 || s->now.last < 0 || s->now.received < 0 || s->now.sent < 0 || s->now.base < 0)
		return "lacks one of its numbers";
	if (s->now.last < s->now.base || s->now.sold + s->now.sent > s->now.received)
		return "has numbers that do not add up";
	return judge_list(in, s);
}

void inspection_judge(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		if (!slot_is_at_work(s))
			continue;
		if (s->now.last >= in->numbering.bases[i] || s->now.base >= in->numbering.bases[i])
			in->outrun = true; /* another inspection has opened it meanwhile */
		else
			s->problem = judge_numbers(in, s);
	}
}
