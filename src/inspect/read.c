/*
 * Reads hub and segments. Claims, refills and other inspections may change them afterwards, so each script that changes
 * a slot first compares it with what was read here.
 */
#include "base/parse.h"
#include "inspect/inspection.h"
#include "sale/fence.h"

/*
 * Notes the incarnation of the slot's server. The slot is opened in this incarnation only, because a server that is
 * replaced later may have other numbers.
 */
static void note_fence(struct inspection *in, struct slot *s, struct str fence, struct str key)
{
	s->fence = fence;
	s->incarnation = arena_str(in->arena, str_of(redis_incarnation(in->svc->redis_sync, key)));
	s->is_old = fence.n && fence_layout(fence) < LAYOUT;
}

static void take_segment(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	char text[KEY_TEXT];
	int i = inspection_segment_number(in, s);
	slot_segment_read(in->arena, reply, -1, &s->now);
	note_fence(in, s, s->now.fence, key_text(text, KEY_SEGMENT, in->coupon.id, i));
}

static void read_segment(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	slot_segment_command(&c, in->coupon.id, i);
	inspection_send(in, &c, s, take_segment);
}

static void take_hub(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	char text[KEY_TEXT];
	slot_hub_read(in->arena, reply, in->coupon.segments, &in->at_hub);
	note_fence(in, s, in->at_hub.fence, key_text(text, KEY_HUB, in->coupon.id, 0));
	for (int i = 0; i < in->coupon.segments; i++) {
		in->segments[i].at_hub = in->at_hub.shares[i];
		in->segments[i].unreported = in->at_hub.shares[i].reported != '1';
	}
}

void inspection_reread_hub(struct inspection *in)
{
	struct redis_command c;
	slot_hub_command(&c, in->coupon.id);
	inspection_send(in, &c, &in->hub, take_hub);
}

void inspection_read_slots(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		read_segment(in, &in->segments[i], i);
	inspection_reread_hub(in);
}

/* The slot was converted and must be read again. */
static void take_upgraded(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)s;
	(void)reply;
	in->must_retry = true;
}

static void upgrade_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->is_old)
		return;
	redis_script(&c, &script_upgrade, 1);
	key_put(&c, key, in->coupon.id, i);
	inspection_send(in, &c, s, take_upgraded);
}

void inspection_upgrade(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		upgrade_slot(in, &in->segments[i], KEY_SEGMENT, i);
	upgrade_slot(in, &in->hub, KEY_HUB, 0);
}

static int64_t record_number(const struct redis_reply *record)
{
	struct str rest = redis_text(record), piece;
	int64_t number = redis_type(record) == REDIS_NIL ? 0 : -1;
	if (parse_split(&rest, '|', &piece))
		parse_int(piece, 1, NUMBER_MAX, &number);
	return number;
}

static void take_list_first(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->list_first = record_number(reply);
}

static void take_list_last(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->list_last = record_number(reply);
}

static void read_list_end(struct inspection *in, struct slot *s, int i, int index)
{
	struct redis_command c;
	redis_command(&c, "LINDEX");
	key_put(&c, KEY_ORDERS, in->coupon.id, i);
	redis_put_int(&c, index);
	inspection_send(in, &c, s, index ? take_list_last : take_list_first);
}

static void take_owners(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->has_no_owner = str_eq(redis_text_at(reply, 0), STR("0")) && !redis_count(redis_at(reply, 1));
}

static void read_one_owner(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	redis_command(&c, "HSCAN");
	key_put(&c, KEY_OWNERS, in->coupon.id, i);
	redis_put_text(&c, "0");
	redis_put_text(&c, "COUNT");
	redis_put_text(&c, "1");
	inspection_send(in, &c, s, take_owners);
}

static void take_owner_count(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)in;
	s->owners = redis_number(reply);
}

static void count_owners(struct inspection *in, struct slot *s, int i)
{
	struct redis_command c;
	redis_command(&c, "HLEN");
	key_put(&c, KEY_OWNERS, in->coupon.id, i);
	inspection_send(in, &c, s, take_owner_count);
}

/* After missing orders were written back, with their owners. */
void inspection_count_owners(struct inspection *in)
{
	if (in->over)
		inspection_each(in, count_owners);
}

static void reread_segment(struct inspection *in, struct slot *s, int i)
{
	read_segment(in, s, i);
	read_one_owner(in, s, i);
	read_list_end(in, s, i, 0);
	read_list_end(in, s, i, -1);
}

/* Must follow the handing out of bases, so that of two inspections the one with the higher base has read later. */
void inspection_reread_segments(struct inspection *in)
{
	inspection_each(in, reread_segment);
}
