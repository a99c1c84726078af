#include "inspect/inspection.h"

#include <stdio.h>

#include "base/clock.h"
#include "inspect/openings.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "stock/sold_out.h"

static enum status read_coupon(struct inspection *in, int64_t coupon)
{
	struct db_rows rows;
	struct db *db = in->svc->db;
	int64_t segments, state;
	if (db_query(db, in->arena,
		     "SELECT c.segments, c.generation, c.hash_key, c.seller_id, u.name, c.name, c.cancelled, "
		     "c.state_version, c.state, c.starts_at_ms, c.ends_at_ms FROM coupons c "
		     "LEFT JOIN users u ON u.id = c.seller_id WHERE c.id = ? AND c.published = 1",
		     &rows, DB_N(coupon)))
		return db_status(db, "inspect");
	const struct db_value *v = db_row(&rows, 0);
	if (!rows.count || v[2].text.n != SIPHASH_KEY)
		return STATUS_NO_SUCH_COUPON;
	if (db_int(db, &v[8], 0, SALE_STATES - 1, &state) || db_int(db, &v[0], 1, SEGMENTS_MAX, &segments) ||
	    db_int(db, &v[1], 1, NUMBER_MAX, &in->coupon.generation))
		return db_status(db, "inspect");
	in->coupon.id = coupon;
	in->coupon.seller = v[3].number;
	in->coupon.seller_name = v[4].text;
	in->coupon.name = v[5].text;
	in->coupon.segments = (int)segments;
	in->over = v[6].number;
	in->steering = (struct steering){ v[7].number, (enum sale_state)state, v[9].number, v[10].number };
	memcpy(in->coupon.hash_key, v[2].text.p, SIPHASH_KEY);
	return STATUS_OK;
}

enum status inspection_begin(struct inspection *in, int64_t coupon)
{
	enum status s = read_coupon(in, coupon);
	if (s != STATUS_OK)
		return s;
	size_t segments = (size_t)in->coupon.segments;
	in->segments = arena_alloc(in->arena, segments * sizeof *in->segments);
	in->cursors = arena_alloc(in->arena, segments * sizeof *in->cursors);
	return cursors_read(in->svc, in->arena, coupon, in->coupon.segments, in->cursors);
}

void inspection_finish(struct inspection *in, enum status result)
{
	in->finished = true;
	in->result = result;
}

struct slot_call {
	struct inspection *in;
	struct slot *slot, *asked;
	slot_reader *take;
};

static void on_reply(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct slot_call *call = context;
	if (outcome == REDIS_ANSWER)
		call->take(call->in, call->slot, reply);
	else if (outcome == REDIS_BROKEN)
		call->asked->problem = "has a key of another Redis type than this program writes";
	else if (call->asked != &call->in->hub)
		call->asked->away = call->in->away = true;
	else
		call->in->status = STATUS_UNAVAILABLE;
}

static void send_call(struct inspection *in, const struct redis_command *c, struct slot_call call)
{
	struct slot_call *kept = arena_alloc(in->arena, sizeof *kept);
	*kept = call;
	redis_send(in->svc->redis_sync, c, on_reply, kept);
}

void inspection_send(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *take)
{
	send_call(in, c, (struct slot_call){ in, s, s, take });
}

void inspection_send_to_hub(struct inspection *in, const struct redis_command *c, struct slot *s, slot_reader *take)
{
	send_call(in, c, (struct slot_call){ in, s, &in->hub, take });
}

bool inspection_reply_is(const struct redis_reply *reply, const char *word)
{
	return str_eq(redis_text_at(reply, 0), str_of(word));
}

void inspection_expect_ok(struct inspection *in, struct slot *s, const struct redis_reply *reply)
{
	(void)s;
	in->must_retry |= !inspection_reply_is(reply, "OK");
}

void inspection_each(struct inspection *in, void (*act)(struct inspection *in, struct slot *s, int i))
{
	for (int i = 0; i < in->coupon.segments; i++)
		if (slot_to_open(&in->segments[i]))
			act(in, &in->segments[i], i);
}

int inspection_segment_number(const struct inspection *in, const struct slot *s)
{
	return (int)(s - in->segments);
}

struct str inspection_fence(const struct inspection *in, char text[KEY_TEXT], struct str incarnation)
{
	char rest[KEY_TEXT];
	snprintf(rest, sizeof rest, "@%.*s", (int)incarnation.n, incarnation.p);
	return fence_text(text, in->coupon.generation, rest);
}

void inspection_note_opening(struct inspection *in, int64_t epoch, int64_t seen_ms)
{
	int64_t since_ms = openings_note(in->openings, in->coupon.id, epoch, seen_ms);
	in->sold_out_expired = clock_mono_ms() - since_ms > SOLD_OUT_NOTICE_MS;
}
