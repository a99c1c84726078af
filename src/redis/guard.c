/*
 * hiredis asserts that every reply was asked for, and allocates an array as long as its head says. Both are for the
 * server to break, so replies are made by hiredis's own functions behind a check. A reply that is refused ends the
 * connection.
 */
#include "redis/link.h"

enum { ELEMENTS_MAX = 1 << 22 };

#if HIREDIS_MAJOR < 1
typedef int element_count;
#else
typedef size_t element_count;
#endif

static redisReplyObjectFunctions unguarded, guarded;

static void *refuse(struct link *l, const char *problem)
{
	l->violation = problem;
	return NULL;
}

/* An error may come unasked: that there are too many clients, for instance. hiredis takes it for the farewell that it
 * is. */
static bool is_awaited(const redisReadTask *t)
{
	const struct link *l = t->privdata;
	return t->parent || t->type == REDIS_REPLY_ERROR || l->ac->replies.head;
}

static void *unasked(const redisReadTask *t)
{
	return refuse(t->privdata, "a reply that nobody asked for");
}

static void *create_string(const redisReadTask *t, char *text, size_t n)
{
	return is_awaited(t) ? unguarded.createString(t, text, n) : unasked(t);
}

static void *create_array(const redisReadTask *t, element_count n)
{
	if (n > ELEMENTS_MAX)
		return refuse(t->privdata, "a reply with too many elements");
	return is_awaited(t) ? unguarded.createArray(t, n) : unasked(t);
}

static void *create_integer(const redisReadTask *t, long long value)
{
	return is_awaited(t) ? unguarded.createInteger(t, value) : unasked(t);
}

static void *create_nil(const redisReadTask *t)
{
	return is_awaited(t) ? unguarded.createNil(t) : unasked(t);
}

void guard_replies(struct link *l)
{
	redisReader *reader = l->ac->c.reader;
	unguarded = guarded = *reader->fn; /* the same of every connection */
	guarded.createString = create_string;
	guarded.createArray = create_array;
	guarded.createInteger = create_integer;
	guarded.createNil = create_nil;
	reader->fn = &guarded;
	reader->privdata = l;
}
