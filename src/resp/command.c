/* Words are written in RESP when they are put, so that sending a command only copies it. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "resp/command.h"

enum { FRAME = 16 }; /* bytes around a word: $, the length and two line ends */

static char *line_end(char *to)
{
	memcpy(to, "\r\n", 2);
	return to + 2;
}

/* Returns the place of the word in `text`. */
static const char *put_word(struct redis_command *c, struct str word)
{
	if (c->argc == REDIS_WORDS || sizeof c->text - c->used < FRAME || sizeof c->text - c->used - FRAME < word.n) {
		c->overlong = true;
		return c->text;
	}
	char *to = c->text + c->used;
	*to++ = '$';
	to = line_end(to + buf_digits(to, (int64_t)word.n));
	const char *at = to;
	if (word.n)
		memcpy(to, word.p, word.n);
	c->used = (size_t)(line_end(to + word.n) - c->text);
	c->argc++;
	return at;
}

void redis_put(struct redis_command *c, struct str word)
{
	put_word(c, word);
}

void redis_put_text(struct redis_command *c, const char *word)
{
	put_word(c, str_of(word));
}

void redis_put_int(struct redis_command *c, int64_t value)
{
	char text[BUF_DIGITS];
	put_word(c, (struct str){ text, buf_digits(text, value) });
}

void redis_put_key(struct redis_command *c, struct str key)
{
	const char *at = put_word(c, key);
	if (!c->key.p)
		c->key = (struct str){ at, key.n };
	c->keys++;
	c->keys_end = c->used;
}

void redis_put_incarnation(struct redis_command *c, struct str before)
{
	char text[REDIS_INCARNATION_BEFORE + 1 + REDIS_INCARNATION];
	size_t n = before.n < REDIS_INCARNATION_BEFORE ? before.n : REDIS_INCARNATION_BEFORE;
	memcpy(text, before.p, n);
	text[n++] = '@';
	memset(text + n, '0', REDIS_INCARNATION);
	c->incarnation_at = (size_t)(put_word(c, (struct str){ text, n + REDIS_INCARNATION }) - c->text) + n;
}

static void command_begin(struct redis_command *c, const struct redis_script *s)
{
	c->script = s;
	c->common = NULL;
	c->key = (struct str){ 0 };
	c->server = -1;
	c->incarnation_at = 0;
	c->overlong = false;
	c->keys = c->argc = 0;
	c->keys_end = c->used = 0;
}

void redis_command(struct redis_command *c, const char *name)
{
	command_begin(c, NULL);
	redis_put_text(c, name);
}

void redis_script(struct redis_command *c, const struct redis_script *s, int keys)
{
	command_begin(c, s);
	redis_put_text(c, "EVALSHA");
	redis_put_text(c, s->sha1);
	redis_put_int(c, keys);
}

void redis_batch(struct redis_command *c, const struct redis_script *s)
{
	command_begin(c, s);
}

void redis_batch_call(struct redis_command *c, struct redis_common *common)
{
	command_begin(c, common->script);
	c->common = common;
	c->key = common->key;
	c->overlong = common->overlong;
}

/* Common words */

struct redis_common *redis_common_new(const struct redis_command *c)
{
	struct redis_common *common = alloc(sizeof *common + c->used);
	*common = (struct redis_common){ .script = c->script,
					 .keys = c->keys,
					 .words = c->argc,
					 .keys_end = c->keys_end,
					 .length = c->used,
					 .incarnation_at = c->incarnation_at,
					 .overlong = c->overlong,
					 .holders = 1 };
	memcpy(common->text, c->text, c->used);
	if (c->key.p)
		common->key = (struct str){ common->text + (c->key.p - c->text), c->key.n };
	return common;
}

struct redis_common *redis_common_hold(struct redis_common *common)
{
	common->holders++;
	return common;
}

void redis_common_drop(struct redis_common *common)
{
	if (common && --common->holders == 0)
		free(common);
}
