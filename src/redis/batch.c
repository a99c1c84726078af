#include "redis/batch.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"

/* While a server executes a batch it does nothing else: 128 claims take it a millisecond at most. */
enum { BATCH_MAX = 128 };

/* Bytes of EVALSHA, the SHA1 and two numbers; and of a group's number of calls. */
enum { HEAD_MAX = 128, COUNT_MAX = 16 };

/* Gathering */

struct group {
	struct call *first, *last;
};

struct gathering {
	struct group groups[BATCH_MAX];
	int count, calls;
};

static bool is_of_group(const struct call *leader, const struct call *call)
{
	const struct redis_common *a = leader->common, *b = call->common;
	return a == b || (a->length == b->length && memcmp(a->text, b->text, a->length) == 0);
}

static void gather(struct gathering *g, struct call *call)
{
	int i = 0;
	while (i < g->count && !is_of_group(g->groups[i].first, call))
		i++;
	if (i == g->count)
		g->groups[g->count++] = (struct group){ call, call };
	else
		g->groups[i].last->mate = call;
	g->groups[i].last = call;
	call->leader = g->groups[i].first;
	g->calls++;
}

static bool may_join(const struct gathering *g, const struct call *call)
{
	const struct call *first = g->groups[0].first;
	return !g->calls || (g->calls < BATCH_MAX && first->script == call->script &&
			     first->hash_slot == call->hash_slot && first->common->keys == call->common->keys);
}

struct call *batch_take(struct call_queue *waiting)
{
	struct gathering g = { .count = 0 };
	struct call_queue rest;
	call_queue_init(&rest);
	for (struct call *call; (call = call_queue_take(waiting));)
		if (may_join(&g, call))
			gather(&g, call);
		else
			call_queue_put(&rest, call);
	call_queue_move(waiting, &rest);
	for (int i = 0; i < g.count; i++)
		g.groups[i].last->mate = i + 1 < g.count ? g.groups[i + 1].first : NULL;
	return g.count ? g.groups[0].first : NULL;
}

/* Writing */

static char *append(char *to, struct str text)
{
	memcpy(to, text.p, text.n);
	return to + text.n;
}

static char *append_length(char *to, char kind, int64_t n)
{
	*to++ = kind;
	to += buf_digits(to, n);
	return append(to, STR("\r\n"));
}

static char *append_number(char *to, int64_t n)
{
	char digits[BUF_DIGITS];
	size_t length = buf_digits(digits, n);
	to = append(append_length(to, '$', (int64_t)length), (struct str){ digits, length });
	return append(to, STR("\r\n"));
}

struct sizes {
	int words, keys, groups;
	size_t bytes; /* at most */
};

static struct sizes measure(const struct call *first)
{
	struct sizes s = { .words = 4, .bytes = 2 * HEAD_MAX };
	for (const struct call *c = first; c; c = c->mate) {
		s.words += c->own;
		s.bytes += c->length;
		if (c != c->leader)
			continue;
		s.groups++;
		s.keys += c->common->keys;
		s.words += 1 + c->common->words;
		s.bytes += COUNT_MAX + c->common->length;
	}
	return s;
}

static char *append_head(char *to, const struct call *first, const struct sizes *s)
{
	to = append_length(to, '*', s->words);
	to = append(to, STR("$7\r\nEVALSHA\r\n$40\r\n"));
	to = append(append(to, str_of(first->script->sha1)), STR("\r\n"));
	return append_number(to, s->keys);
}

static char *append_common(char *to, const struct redis_common *common, const char *incarnation)
{
	char *begin = to - common->keys_end;
	to = append(to, (struct str){ common->text + common->keys_end, common->length - common->keys_end });
	if (common->incarnation_at)
		memcpy(begin + common->incarnation_at, incarnation, REDIS_INCARNATION);
	return to;
}

static char *append_group(char *to, const struct call *leader, const char *incarnation)
{
	int count = 0;
	for (const struct call *c = leader; c && c->leader == leader; c = c->mate)
		count++;
	to = append_common(append_number(to, count), leader->common, incarnation);
	for (const struct call *c = leader; c && c->leader == leader; c = c->mate)
		to = append(to, (struct str){ c->text, c->length });
	return to;
}

static char *text_reserve(struct batch_text *text, size_t size)
{
	if (size > text->size) {
		free(text->p);
		text->p = alloc(size);
		text->size = size;
	}
	return text->p;
}

struct str batch_write(struct batch_text *text, struct call *first, const char *incarnation)
{
	struct sizes s = measure(first);
	char *to = append_head(text_reserve(text, s.bytes), first, &s);
	for (const struct call *c = first; c; c = c->mate)
		if (c == c->leader)
			to = append(to, (struct str){ c->common->text, c->common->keys_end });
	to = append_number(to, s.groups);
	for (const struct call *c = first; c; c = c->mate)
		if (c == c->leader)
			to = append_group(to, c, incarnation);
	return (struct str){ text->p, (size_t)(to - text->p) };
}
