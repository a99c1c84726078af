#include "sale/fence.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/random.h"
#include "sale/scripts.h"

/* The number with which a fence begins. */
static struct str leading_number(struct str fence)
{
	size_t digits = 0;
	while (digits < fence.n && fence.p[digits] >= '0' && fence.p[digits] <= '9')
		digits++;
	return (struct str){ fence.p, digits };
}

int64_t fence_layout(struct str fence)
{
	struct str number = leading_number(fence);
	int64_t layout = LAYOUT;
	if (number.n < fence.n && fence.p[number.n] == ':')
		parse_int(number, 0, NUMBER_MAX, &layout);
	return layout;
}

int64_t fence_generation(struct str fence)
{
	int64_t generation = 0;
	if (fence_layout(fence) == LAYOUT)
		parse_int(leading_number(fence), 1, NUMBER_MAX, &generation);
	return generation;
}

enum fence fence_read(struct str fence, int64_t generation)
{
	int64_t there = fence_generation(fence);
	if (there && there != generation)
		return FENCE_OTHER;
	return there && memchr(fence.p, '@', fence.n) ? FENCE_DOUBT : FENCE_CLOSED;
}

void fence_doubt(struct redis *r, int64_t coupon, int segments)
{
	char member[KEY_TEXT];
	struct redis_command cmd;
	snprintf(member, sizeof member, "%lld:%d", (long long)coupon, segments);
	redis_command(&cmd, "SADD");
	key_put(&cmd, KEY_DOUBT, 0, 0);
	redis_put_text(&cmd, member);
	redis_send(r, &cmd, NULL, NULL);
}

void fence_open_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			int64_t generation)
{
	redis_script(cmd, &script_fence, 1);
	key_put(cmd, key, coupon, segment);
	redis_put(cmd, expected);
	redis_put_fence(cmd, generation);
}

static void put_closed(struct redis_command *cmd, int64_t generation)
{
	char text[24];
	snprintf(text, sizeof text, "%lld!", (long long)generation);
	redis_put_text(cmd, text);
}

void fence_close_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			 int64_t generation)
{
	redis_script(cmd, &script_fence, 1);
	key_put(cmd, key, coupon, segment);
	redis_put(cmd, expected);
	put_closed(cmd, generation);
}

void fence_hold_text(char text[KEY_TEXT], int64_t generation)
{
	unsigned long long chance;
	random_bytes(&chance, sizeof chance);
	snprintf(text, KEY_TEXT, "%lld@?%lld.%016llx", (long long)generation, (long long)clock_ms(), chance);
}

int64_t fence_held_ms(struct str fence)
{
	struct str rest = fence, piece;
	int64_t ms = 0;
	if (parse_split(&rest, '@', &piece) && str_starts(rest, STR("?"))) {
		rest = (struct str){ rest.p + 1, rest.n - 1 };
		parse_split(&rest, '.', &piece);
		parse_int(piece, 1, NUMBER_MAX, &ms);
	}
	return ms;
}

void fence_hold_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			struct str hold)
{
	redis_script(cmd, &script_fence, 1);
	key_put(cmd, key, coupon, segment);
	redis_put(cmd, expected);
	redis_put(cmd, hold);
}

void fence_close(struct redis *r, const struct coupon *c, enum key key, int segment)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_fence, 1);
	key_put(&cmd, key, c->id, segment);
	redis_put_fence(&cmd, c->generation);
	put_closed(&cmd, c->generation);
	redis_send(r, &cmd, NULL, NULL);
	fence_doubt(r, c->id, c->segments);
}

mark *fence_mark(struct marks *m, const struct coupon *c, int segment)
{
	uint64_t key = siphash(c->hash_key, &segment, sizeof segment);
	return marks_find(m, key ? key : 1);
}
