/*
 * Many calls, one command. Redis spends as much on receiving a script call,
 * on starting Lua and on framing a transaction for its file as on a simple
 * script itself; calls of the same script that leave in the same turn share
 * that price. (Group commit, for scripts.)
 */
#include <stdlib.h>

#include "base/buf.h"
#include "redis/link.h"

enum { BATCH_MAX = 64, HEAD_MAX = 128 }; /* the server does nothing else meanwhile: a millisecond */

void batch_add(struct link *l, struct call *call)
{
	const struct call *head = l->gathered;
	if (head && (head->script != call->script || head->slot != call->slot || head->keys != call->keys ||
		     head->arguments != call->arguments || l->gathering == BATCH_MAX))
		batch_flush(l);
	if (!l->gathered) {
		l->gathered_last = &l->gathered;
		l->gathering = 0;
	}
	call->mate = NULL;
	*l->gathered_last = call;
	l->gathered_last = &call->mate;
	l->gathering++;
}

static char *put(char *to, struct str text)
{
	memcpy(to, text.p, text.n);
	return to + text.n;
}

static char *put_length(char *to, char kind, int64_t n)
{
	*to++ = kind;
	to += buf_digits(to, n);
	return put(to, STR("\r\n"));
}

static char *put_number(char *to, int64_t n)
{
	char digits[BUF_DIGITS];
	size_t length = buf_digits(digits, n);
	to = put(put_length(to, '$', (int64_t)length), (struct str){ digits, length });
	return put(to, STR("\r\n"));
}

static char *put_head(char *to, const struct call *first, int count)
{
	int keys = count * first->keys;
	to = put_length(to, '*', 4 + keys + count * first->arguments);
	to = put(to, STR("$7\r\nEVALSHA\r\n$40\r\n"));
	to = put(put(to, str_of(first->script->sha1)), STR("\r\n"));
	return put_number(to, keys);
}

static char *room(struct redis *r, size_t size)
{
	if (size > r->scratch_size) {
		free(r->scratch);
		r->scratch = malloc(size);
		r->scratch_size = size;
		if (!r->scratch)
			abort();
	}
	return r->scratch;
}

static struct str write_all(struct link *l, struct call *first, int count)
{
	size_t size = 2 * HEAD_MAX;
	for (const struct call *c = first; c; c = c->mate)
		size += c->length;
	char *text = room(l->redis, size), *to = put_head(text, first, count);
	for (const struct call *c = first; c; c = c->mate)
		to = put(to, (struct str){ c->text, c->keys_end });
	to = put_number(to, count);
	for (struct call *c = first; c; c = c->mate) {
		if (c->run)
			memcpy(c->text + c->run, l->run, REDIS_INCARNATION);
		to = put(to, (struct str){ c->text + c->keys_end, c->length - c->keys_end });
	}
	return (struct str){ text, (size_t)(to - text) };
}

void batch_flush(struct link *l)
{
	struct call *first = l->gathered;
	l->gathered = NULL;
	if (!first)
		return;
	struct str text = l->up ? write_all(l, first, l->gathering) : STR("");
	if (l->up && link_write(l, first, text.p, text.n))
		return;
	for (struct call *next; first; first = next) {
		next = first->mate;
		route_call(first->redis, first);
	}
}

void batch_answered(struct link *l, struct call *first, redisReply *reply)
{
	bool each = reply && reply->type == REDIS_REPLY_ARRAY;
	size_t i = 0;
	for (struct call *next; first; first = next, i++) {
		next = first->mate;
		call_answered(l, first, each && i < reply->elements ? reply->element[i] : reply);
	}
}
