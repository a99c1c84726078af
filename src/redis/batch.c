#include "redis/batch.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"

/* While a server executes a batch it does nothing else: 64 claims take a millisecond. */
enum { BATCH_MAX = 64, HEAD_MAX = 128 };

bool batch_takes(const struct batch *b, const struct call *call)
{
	const struct call *first = b->first;
	return !first || (first->script == call->script && first->hash_slot == call->hash_slot &&
			  first->keys == call->keys && first->arguments == call->arguments && b->count < BATCH_MAX);
}

void batch_add(struct batch *b, struct call *call)
{
	if (!b->first) {
		b->last = &b->first;
		b->count = 0;
	}
	call->mate = NULL;
	*b->last = call;
	b->last = &call->mate;
	b->count++;
}

struct call *batch_take(struct batch *b)
{
	struct call *first = b->first;
	b->first = NULL;
	return first;
}

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

static char *append_head(char *to, const struct call *first, int count)
{
	int keys = count * first->keys;
	to = append_length(to, '*', 4 + keys + count * first->arguments);
	to = append(to, STR("$7\r\nEVALSHA\r\n$40\r\n"));
	to = append(append(to, str_of(first->script->sha1)), STR("\r\n"));
	return append_number(to, keys);
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
	size_t size = 2 * HEAD_MAX;
	int count = 0;
	for (const struct call *c = first; c; c = c->mate, count++)
		size += c->length;
	char *to = append_head(text_reserve(text, size), first, count);
	for (const struct call *c = first; c; c = c->mate)
		to = append(to, (struct str){ c->text, c->keys_end });
	to = append_number(to, count);
	for (struct call *c = first; c; c = c->mate) {
		call_put_incarnation(c, incarnation);
		to = append(to, (struct str){ c->text + c->keys_end, c->length - c->keys_end });
	}
	return (struct str){ text->p, (size_t)(to - text->p) };
}
