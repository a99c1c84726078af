#include "sale/fence.h"

#include <stdio.h>

#include "base/parse.h"
#include "sale/scripts.h"
#include "sale/worklist.h"

/* The number with which a text begins. */
static struct str leading_number(struct str text)
{
	size_t digits = 0;
	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	return (struct str){ text.p, digits };
}

static struct str behind(struct str text, size_t n)
{
	return (struct str){ text.p + n, text.n - n };
}

int64_t fence_layout(struct str fence)
{
	struct str number = leading_number(fence);
	int64_t layout = fence.n ? 1 : 0;
	if (number.n < fence.n && fence.p[number.n] == ':')
		parse_int(number, 0, NUMBER_MAX, &layout);
	return layout;
}

int64_t fence_generation(struct str fence)
{
	int64_t generation = 0;
	if (fence_layout(fence) == LAYOUT)
		parse_int(leading_number(behind(fence, leading_number(fence).n + 1)), 1, NUMBER_MAX, &generation);
	return generation;
}

struct str fence_incarnation(struct str fence)
{
	const char *at = memchr(fence.p, '@', fence.n);
	return at ? behind(fence, (size_t)(at + 1 - fence.p)) : STR("");
}

struct str fence_text(char text[KEY_TEXT], int64_t generation, const char *rest)
{
	snprintf(text, KEY_TEXT, "%d:%lld%s", LAYOUT, (long long)generation, rest);
	return str_of(text);
}

void fence_put(struct redis_command *cmd, int64_t generation)
{
	char text[KEY_TEXT];
	redis_put_incarnation(cmd, fence_text(text, generation, ""));
}

enum fence fence_read(struct str fence, int64_t generation)
{
	int64_t there = fence_generation(fence);
	if (there && there != generation)
		return FENCE_OTHER;
	bool old = fence.n && fence_layout(fence) < LAYOUT;
	return (there || old) && memchr(fence.p, '@', fence.n) ? FENCE_SUSPECT : FENCE_QUARANTINED;
}

static void change(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected)
{
	redis_script(cmd, &script_fence, 1);
	key_put(cmd, key, coupon, segment);
	redis_put(cmd, expected);
}

void fence_change_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			  struct str to)
{
	change(cmd, key, coupon, segment, expected);
	redis_put(cmd, to);
}

void fence_open_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			int64_t generation)
{
	change(cmd, key, coupon, segment, expected);
	fence_put(cmd, generation);
}

void fence_quarantine_command(struct redis_command *cmd, enum key key, int64_t coupon, int segment, struct str expected,
			      int64_t generation)
{
	char text[KEY_TEXT];
	fence_change_command(cmd, key, coupon, segment, expected, fence_text(text, generation, "!"));
}

void fence_quarantine(struct redis *r, const struct coupon *c, enum key key, int segment)
{
	char text[KEY_TEXT];
	struct redis_command cmd;
	redis_script(&cmd, &script_fence, 1);
	key_put(&cmd, key, c->id, segment);
	fence_put(&cmd, c->generation);
	redis_put(&cmd, fence_text(text, c->generation, "!"));
	redis_send(r, &cmd, NULL, NULL);
	worklist_inspect(r, c->id, c->segments);
}
