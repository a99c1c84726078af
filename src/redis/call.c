#include "redis/call.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#ifdef __SANITIZE_ADDRESS__
enum { SPARES = 0 }; /* so that the sanitizer finds a use of a call that has ended */
#else
enum { SPARES = 256 };
#endif

static struct call *call_get(struct call_pool *pool)
{
	struct call *call = pool->spare;
	if (!call)
		return alloc(sizeof *call);
	pool->spare = call->next;
	pool->spares--;
	return call;
}

static void call_keep(struct call *call)
{
	struct call_pool *pool = call->pool;
	redis_common_drop(call->common);
	if (call->text != call->room)
		free(call->text);
	if (pool->spares == SPARES) {
		free(call);
		return;
	}
	call->next = pool->spare;
	pool->spare = call;
	pool->spares++;
}

/* Copies the command as it is sent; of a call in a batch, only its own words. */
static void write_text(struct call *call, const struct redis_command *c)
{
	char head[1 + BUF_DIGITS + 2] = "*";
	size_t n = 0;
	if (!c->common) {
		n = 1 + buf_digits(head + 1, c->argc);
		memcpy(head + n, "\r\n", 2);
		n += 2;
	}
	call->length = n + c->used;
	call->text = call->length <= sizeof call->room ? call->room : alloc(call->length);
	memcpy(call->text, head, n);
	memcpy(call->text + n, c->text, c->used);
	call->incarnation_at = c->incarnation_at ? n + c->incarnation_at : 0;
}

struct call *call_new(struct call_pool *pool, const struct redis_command *c, redis_done *done, void *context)
{
	struct call *call = call_get(pool);
	call->pool = pool;
	call->done = done;
	call->context = context;
	call->script = c->script;
	call->hash_slot = -1;
	call->server = c->server;
	call->redirects = 0;
	call->was_reloaded = call->is_alone = false;
	call->common = c->common ? redis_common_hold(c->common) : NULL;
	call->own = c->argc;
	call->began_ms = clock_mono_ms();
	write_text(call, c);
	pool->outstanding++;
	return call;
}

void call_end(struct call *call, enum redis_outcome outcome, const struct redis_reply *reply)
{
	redis_done *done = call->done;
	void *context = call->context;
	call->pool->outstanding--;
	call_keep(call);
	if (done)
		done(context, outcome, reply);
}

void call_put_incarnation(struct call *call, const char *incarnation)
{
	if (call->incarnation_at)
		memcpy(call->text + call->incarnation_at, incarnation, REDIS_INCARNATION);
}

void call_pool_release(struct call_pool *pool)
{
	for (struct call *call; (call = pool->spare); free(call))
		pool->spare = call->next;
}

void call_queue_init(struct call_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

void call_queue_put(struct call_queue *q, struct call *call)
{
	call->next = NULL;
	*q->last = call;
	q->last = &call->next;
}

struct call *call_queue_take(struct call_queue *q)
{
	struct call *call = q->first;
	if (call && !(q->first = call->next))
		q->last = &q->first;
	return call;
}

void call_queue_move(struct call_queue *to, struct call_queue *from)
{
	if (!from->first)
		return;
	*to = *from;
	call_queue_init(from);
}
