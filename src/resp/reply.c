/* A struct redis_reply is hiredis's redisReply under another name, so that callers do not include hiredis. */
#include "resp/reply.h"

#include "resp/protocol.h"

enum redis_type redis_type(const struct redis_reply *r)
{
	const redisReply *reply = (const redisReply *)r;
	switch (reply ? reply->type : REDIS_REPLY_NIL) {
	case REDIS_REPLY_INTEGER:
		return REDIS_INT;
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
	case REDIS_REPLY_ERROR:
		return REDIS_TEXT;
	case REDIS_REPLY_ARRAY:
		return REDIS_LIST;
	default:
		return REDIS_NIL;
	}
}

bool redis_is_error(const struct redis_reply *r)
{
	return r && ((const redisReply *)r)->type == REDIS_REPLY_ERROR;
}

size_t redis_count(const struct redis_reply *r)
{
	return redis_type(r) == REDIS_LIST ? ((const redisReply *)r)->elements : 0;
}

const struct redis_reply *redis_at(const struct redis_reply *r, size_t i)
{
	return i < redis_count(r) ? (const struct redis_reply *)((const redisReply *)r)->element[i] : NULL;
}

struct str redis_text(const struct redis_reply *r)
{
	const redisReply *reply = (const redisReply *)r;
	return redis_type(r) == REDIS_TEXT ? (struct str){ reply->str, (size_t)reply->len } : STR("");
}

int64_t redis_number(const struct redis_reply *r)
{
	int64_t value = 0;
	redis_number_in(r, -NUMBER_MAX, NUMBER_MAX, &value);
	return value;
}

bool redis_number_in(const struct redis_reply *r, int64_t min, int64_t max, int64_t *value)
{
	if (redis_type(r) != REDIS_INT)
		return parse_int(redis_text(r), min, max, value);
	int64_t number = ((const redisReply *)r)->integer;
	if (number < min || number > max)
		return false;
	*value = number;
	return true;
}

struct str redis_text_at(const struct redis_reply *r, size_t i)
{
	return redis_text(redis_at(r, i));
}

int64_t redis_number_at(const struct redis_reply *r, size_t i)
{
	return redis_number(redis_at(r, i));
}

const struct redis_reply *redis_member(const struct redis_reply *map, const char *name)
{
	for (size_t i = 0; i + 1 < redis_count(map); i += 2)
		if (str_eq(redis_text_at(map, i), str_of(name)))
			return redis_at(map, i + 1);
	return NULL;
}

static redisReply *reply_copy(struct arena *a, const redisReply *from)
{
	redisReply *to = arena_alloc(a, sizeof *to);
	*to = *from;
	if (from->str)
		to->str = arena_strndup(a, from->str, (size_t)from->len);
	if (from->elements) {
		to->element = arena_alloc(a, from->elements * sizeof *to->element);
		for (size_t i = 0; i < from->elements; i++)
			to->element[i] = reply_copy(a, from->element[i]);
	}
	return to;
}

const struct redis_reply *redis_copy(struct arena *a, const struct redis_reply *from)
{
	return from ? (const struct redis_reply *)reply_copy(a, (const redisReply *)from) : NULL;
}
