#include "resp/protocol.h"

enum { ELEMENTS_MAX = 1 << 22 };

#if HIREDIS_MAJOR < 1
typedef int element_count;
#else
typedef size_t element_count;
#endif

static redisReplyObjectFunctions unguarded, guarded;

static void *refuse(struct protocol_guard *g, const char *problem)
{
	g->violation = problem;
	return NULL;
}

/* A server may send an error without a command, for instance "max number of clients reached"; hiredis disconnects. */
static bool is_awaited(const redisReadTask *t)
{
	const struct protocol_guard *g = t->privdata;
	return t->parent || t->type == REDIS_REPLY_ERROR || g->connection->replies.head;
}

static void *unasked(const redisReadTask *t)
{
	return refuse(t->privdata, "a reply to no command");
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

void protocol_guard(struct protocol_guard *g, redisAsyncContext *connection)
{
	redisReader *reader = connection->c.reader;
	*g = (struct protocol_guard){ .connection = connection };
	unguarded = guarded = *reader->fn; /* the same for every connection */
	guarded.createString = create_string;
	guarded.createArray = create_array;
	guarded.createInteger = create_integer;
	guarded.createNil = create_nil;
	reader->fn = &guarded;
	reader->privdata = g;
}
