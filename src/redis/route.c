#include "redis/route.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "redis/address.h"

enum { UNPARK_MS = 10, REDIRECTS_MAX = 16 };

static struct router *router_of(const struct node *n)
{
	return container_of(n->topology, struct router, topology);
}

static void park(struct router *r, struct call *call)
{
	if (!r->parked.first)
		loop_timer_set(r->topology.shared.loop, &r->unpark, UNPARK_MS);
	call_queue_put(&r->parked, call);
}

static bool is_over(const struct router *r, const struct call *call)
{
	return clock_mono_ms() - call->began_ms > r->topology.shared.conf->redis_timeout_ms;
}

void route_call(struct router *r, struct call *call)
{
	struct topology *t = &r->topology;
	bool is_closing = t->shared.is_closing;
	struct node *n = is_closing ? NULL : topology_find(t, call->hash_slot, call->server);
	if (n && link_send(n->link, call, false))
		return;
	topology_refresh_soon(t); /* the node is not up: read the map until it names another */
	if (!t->is_cluster || is_closing || (n && link_is_away(n->link)) || is_over(r, call))
		call_end(call, REDIS_REFUSED, NULL);
	else
		park(r, call);
}

/* Empties the queue before it routes the calls, because route_call may park a call again. */
static void on_unpark(struct loop_timer *timer)
{
	struct router *r = container_of(timer, struct router, unpark);
	struct call_queue parked;
	call_queue_init(&parked);
	call_queue_move(&parked, &r->parked);
	for (struct call *call; (call = call_queue_take(&parked));)
		route_call(r, call);
}

/*
 * Errors that mean "not executed", and their cures. A cure that returns true has taken the call; after false, the call
 * is refused.
 */

typedef bool error_cure(struct node *n, struct call *call, struct str error);

static bool cure_none(struct node *n, struct call *call, struct str error)
{
	(void)n, (void)call, (void)error;
	return false;
}

/* The server does not know the script: loads the script and sends the call again, once. */
static bool cure_noscript(struct node *n, struct call *call, struct str error)
{
	(void)error;
	if (!call->script || call->was_reloaded)
		return false;
	call->was_reloaded = true;
	link_load(n->link, call->script);
	if (!link_send(n->link, call, false))
		call_end(call, REDIS_REFUSED, NULL);
	return true;
}

/* The node that an error like "MOVED 3999 127.0.0.1:6381" names, or NULL. An empty host is the host of n. */
static struct node *redirected(struct node *n, struct call *call, struct str error)
{
	struct str rest = error, word, slot;
	char address[ADDRESS];
	if (n->topology->shared.is_closing || !n->topology->is_cluster || call->redirects++ > REDIRECTS_MAX)
		return NULL;
	if (!parse_split(&rest, ' ', &word) || !parse_split(&rest, ' ', &slot) ||
	    !address_read(address, rest, link_address(n->link)))
		return NULL;
	return topology_get_or_add(n->topology, address);
}

static bool cure_moved(struct node *n, struct call *call, struct str error)
{
	struct node *to = redirected(n, call, error);
	if (!to)
		return false;
	call->was_reloaded = false; /* the other server may not know the script either */
	if (call->hash_slot >= 0)
		topology_assign(to->topology, call->hash_slot, to);
	topology_refresh_soon(to->topology);
	route_call(router_of(to), call);
	return true;
}

static bool cure_ask(struct node *n, struct call *call, struct str error)
{
	struct node *to = redirected(n, call, error);
	if (!to)
		return false;
	call->was_reloaded = false;
	if (!link_send(to->link, call, true))
		park(router_of(to), call);
	return true;
}

static bool cure_try_again(struct node *n, struct call *call, struct str error)
{
	struct router *r = router_of(n);
	(void)error;
	if (!n->topology->is_cluster || is_over(r, call))
		return false;
	topology_refresh_soon(n->topology);
	call->is_alone = true; /* the keys of a batch may be on two nodes, but those of one call are on one */
	park(r, call);
	return true;
}

static bool cure_unready(struct node *n, struct call *call, struct str error)
{
	return !link_note_unready(n->link) && cure_try_again(n, call, error);
}

/*
 * An error that is not listed here ends the call as REDIS_BROKEN. List an error only if it is certain that the command
 * was not executed, because a cure sends the command again.
 */
static const struct {
	const char *word;
	error_cure *cure;
} not_executed[] = {
	{ "NOSCRIPT", cure_noscript },  { "MOVED", cure_moved },        { "ASK", cure_ask },
	{ "TRYAGAIN", cure_try_again }, { "READONLY", cure_try_again }, { "CLUSTERDOWN", cure_unready },
	{ "MASTERDOWN", cure_unready }, { "LOADING", cure_unready },    { "BUSY", cure_none },
	{ "MISCONF", cure_none },       { "OOM", cure_none },           { "NOREPLICAS", cure_none },
	{ "NOAUTH", cure_none },        { "NOPERM", cure_none },        { "WRONGPASS", cure_none },
};

static error_cure *cure_of(struct str error)
{
	for (size_t i = 0; i < sizeof not_executed / sizeof not_executed[0]; i++)
		if (str_starts(error, str_of(not_executed[i].word)))
			return not_executed[i].cure;
	return NULL;
}

static void on_error(struct node *n, struct call *call, const struct redis_reply *reply)
{
	struct str error = redis_text(reply);
	error_cure *cure = cure_of(error);
	if (cure && cure(n, call, error))
		return;
	log_error_limited("redis_error", LOG_TEXT("server", link_address(n->link)), LOG_STR("error", error),
			  LOG_TEXT("script", call->script ? call->script->name : "-"));
	call_end(call, cure ? REDIS_REFUSED : REDIS_BROKEN, reply);
}

static void on_reply(void *owner, struct call *call, const struct redis_reply *reply)
{
	struct node *n = owner;
	router_of(n)->answering = n;
	if (!reply)
		call_end(call, REDIS_UNKNOWN, NULL);
	else if (redis_is_error(reply))
		on_error(n, call, reply);
	else
		call_end(call, REDIS_ANSWER, reply);
}

static void on_unsent(void *owner, struct call *call)
{
	route_call(router_of(owner), call);
}

const char *route_open(struct router *r, const char *setting)
{
	call_queue_init(&r->parked);
	r->unpark.fn = on_unpark;
	r->topology.shared.events.on_reply = on_reply;
	r->topology.shared.events.on_unsent = on_unsent;
	return topology_open(&r->topology, setting);
}

void route_close(struct router *r)
{
	loop_timer_cancel(r->topology.shared.loop, &r->unpark);
	topology_close(&r->topology);
	on_unpark(&r->unpark); /* the topology is closing, so route_call ends the parked calls as REDIS_REFUSED */
}
