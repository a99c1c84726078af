#include "sale/slot.h"

#include <stdio.h>

#include "sale/fence.h"
#include "sale/key.h"

/* In the order of segment_fields. */
enum field {
	FENCE,
	GENERATION,
	COUNTED,
	LEFT,
	SOLD,
	LAST,
	RECEIVED,
	SENT,
	BASE,
	TERM,
	STEERED,
	STATE,
	STARTS,
	ENDS,
	FIELDS
};

static const char *const segment_fields[FIELDS] = { "fence", "gen",  "n",    "left",    "sold",  "last", "I",
						    "O",     "base", "term", "version", "state", "t0",   "t1" };

/* A slot of layout 0 had no fence, but a generation. */
static struct str read_fence(struct arena *a, const struct redis_reply *fence, const struct redis_reply *generation)
{
	bool is_first_layout = !redis_text(fence).n && redis_text(generation).n > 0;
	return is_first_layout ? STR("@") : arena_str(a, redis_text(fence));
}

void slot_segment_command(struct redis_command *c, int64_t coupon, int segment)
{
	redis_command(c, "HMGET");
	key_put(c, KEY_SEGMENT, coupon, segment);
	for (int i = 0; i < FIELDS; i++)
		redis_put_text(c, segment_fields[i]);
}

static int64_t number_or(const struct redis_reply *reply, int64_t absent)
{
	int64_t number = absent;
	redis_number_in(reply, -NUMBER_MAX, NUMBER_MAX, &number);
	return number;
}

void slot_segment_read(struct arena *a, const struct redis_reply *reply, int64_t absent, struct slot_segment *out)
{
	int64_t numbers[FIELDS];
	for (int i = 0; i < FIELDS; i++)
		numbers[i] = number_or(redis_at(reply, (size_t)i), absent);
	*out = (struct slot_segment){ .fence = read_fence(a, redis_at(reply, FENCE), redis_at(reply, GENERATION)),
				      .left = numbers[LEFT],
				      .sold = numbers[SOLD],
				      .last = numbers[LAST],
				      .received = numbers[RECEIVED],
				      .sent = numbers[SENT],
				      .base = numbers[BASE],
				      .term = numbers[TERM],
				      .steering = steering_read(redis_at(reply, STEERED), redis_at(reply, STATE),
								redis_at(reply, STARTS), redis_at(reply, ENDS)) };
	if (out->fence.n &&
	    fence_layout(out->fence) < LAYOUT) /* the last order's number was the number of units sold */
		out->sold = out->last = numbers[COUNTED];
}

void slot_hub_command(struct redis_command *c, int64_t coupon)
{
	redis_command(c, "HGETALL");
	key_put(c, KEY_HUB, coupon, 0);
}

static int64_t hub_number(const struct redis_reply *hub, const char *name)
{
	return redis_number(redis_member(hub, name));
}

static int64_t share_number(const struct redis_reply *hub, char kind, int segment)
{
	char name[16];
	snprintf(name, sizeof name, "%c%d", kind, segment);
	return hub_number(hub, name);
}

/* `empty` and `heard` have one character for each segment. */
static char character_at(struct str characters, int segment)
{
	return (size_t)segment < characters.n ? characters.p[segment] : '\0';
}

static void read_shares(struct arena *a, const struct redis_reply *hub, int segments, struct slot_hub *out)
{
	struct str empty = redis_text(redis_member(hub, "empty")), heard = redis_text(redis_member(hub, "heard"));
	out->shares = arena_alloc(a, (size_t)segments * sizeof *out->shares);
	for (int i = 0; i < segments; i++)
		out->shares[i] = (struct slot_share){ .granted = share_number(hub, 'G', i),
						      .taken = share_number(hub, 'R', i),
						      .base = share_number(hub, 'B', i),
						      .is_empty = character_at(empty, i) == '1',
						      .reported = character_at(heard, i) };
}

void slot_hub_read(struct arena *a, const struct redis_reply *reply, int segments, struct slot_hub *out)
{
	*out = (struct slot_hub){ .fence = read_fence(a, redis_member(reply, "fence"), redis_member(reply, "gen")),
				  .amount = hub_number(reply, "amount"),
				  .cancelled = hub_number(reply, "cancelled"),
				  .withdrawn = hub_number(reply, "withdrawn"),
				  .skipped = hub_number(reply, "skipped"),
				  .avail = hub_number(reply, "avail"),
				  .final = hub_number(reply, "final"),
				  .final_cancelled = hub_number(reply, "final_cancelled"),
				  .pays = hub_number(reply, "pays") == 1,
				  .term = hub_number(reply, "term"),
				  .epoch = hub_number(reply, "epoch"),
				  .sold_out = hub_number(reply, "sold_out") != 0,
				  .is_opening = hub_number(reply, "opening") == 1,
				  .asked = hub_number(reply, "asked"),
				  .missed = hub_number(reply, "missed"),
				  .steering =
					  steering_read(redis_member(reply, "version"), redis_member(reply, "state"),
							redis_member(reply, "t0"), redis_member(reply, "t1")) };
	read_shares(a, reply, segments, out);
}
