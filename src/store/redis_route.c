/*
 * Which server a call goes to. With one server there is one link. With a
 * Redis Cluster the map of slots is read from any node, corrected by every
 * MOVED, and read again when a node is lost. A call that a node did not
 * execute (resharding, a failover) is parked and tried again until
 * redis_timeout_ms after its begin; one whose answer was lost is never sent
 * again from here.
 *
 * Redis Cluster Specification: hash slots, hash tags, MOVED and ASK redirection.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "store/redis_link.h"

enum { REFRESH_MS = 100, UNPARK_MS = 10, REDIRECTS_MAX = 16 };

/* CRC-16/XMODEM, as the specification has it. */
static uint16_t crc16(const char *p, size_t n)
{
	uint16_t crc = 0;
	for (size_t i = 0; i < n; i++) {
		crc ^= (uint16_t)((unsigned char)p[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

int route_slot(struct str key)
{
	const char *open = memchr(key.p, '{', key.n);
	if (open) {
		size_t rest = key.n - (size_t)(open + 1 - key.p);
		const char *close = memchr(open + 1, '}', rest);
		if (close && close > open + 1)
			key = (struct str){ open + 1, (size_t)(close - open - 1) };
	}
	return crc16(key.p, key.n) % SLOTS;
}

static struct link *link_of(struct redis *r, const char *address)
{
	struct link *l = r->links;
	while (l && strcmp(l->address, address) != 0)
		l = l->next;
	if (l)
		return l;
	l = link_open(r, address);
	l->next = r->links;
	r->links = l;
	return l;
}

static struct link *any_up(struct redis *r)
{
	struct link *l = r->links;
	while (l && !l->up)
		l = l->next;
	return l;
}

bool redis_is_up(const struct redis *r)
{
	return r->cluster ? r->mapped && any_up((struct redis *)r) : r->links->up;
}

const char *redis_problem(const struct redis *r, bool *refused)
{
	*refused = false;
	if (redis_is_up(r))
		return NULL;
	for (const struct link *l = r->links; l; l = l->next)
		if (*l->problem) {
			*refused = l->refused;
			return l->problem;
		}
	return any_up((struct redis *)r) ? "the map of the cluster is not known" : "no connection yet";
}

void route_hurry(struct redis *r)
{
	for (struct link *l = r->links; l; l = l->next)
		link_hurry(l);
}

bool route_is_trying(const struct redis *r)
{
	for (const struct link *l = r->links; l; l = l->next)
		if (l->ac && (!l->up || r->cluster))
			return true;
	return false;
}

/* The map */

/* Whoever gets a slot may have been demoted and promoted since it told us of its life. */
static void assign(struct redis *r, int slot, struct link *l)
{
	if (r->slots[slot] == l)
		return;
	r->slots[slot] = l;
	link_learn(l);
}

/* "HOST:PORT". A host that a node does not know or does not tell is the one at which it was asked. False: it is no
 * address.
 */
static bool make_address(char address[256], const struct link *asked, struct str host, int64_t port)
{
	if (!host.n)
		host = (struct str){ asked->address, (size_t)(strrchr(asked->address, ':') - asked->address) };
	snprintf(address, 256, "%.*s:%lld", (int)host.n, host.p, (long long)port);
	return host.n < 200 && !str_eq(host, STR("?")) && port >= 1 && port <= 65535;
}

/* FIRST LAST [HOST PORT ...] ...; a server may say anything else, which is no range. */
static bool read_range(struct redis *r, const struct link *asked, const redisReply *range)
{
	if (range->elements < 3 || range->element[2]->elements < 2)
		return false;
	const redisReply *first = range->element[0], *last = range->element[1];
	const redisReply *host = range->element[2]->element[0], *port = range->element[2]->element[1];
	if (first->type != REDIS_REPLY_INTEGER || last->type != REDIS_REPLY_INTEGER ||
	    (host->type != REDIS_REPLY_STRING && host->type != REDIS_REPLY_NIL))
		return false;
	char address[256];
	if (first->integer < 0 || first->integer >= SLOTS || last->integer < first->integer ||
	    !make_address(address, asked, (struct str){ host->str, host->len }, port->integer))
		return false;
	struct link *l = link_of(r, address);
	for (long long s = first->integer; s <= last->integer && s < SLOTS; s++)
		assign(r, (int)s, l);
	return true;
}

static void refresh_soon(struct redis *r)
{
	if (!r->cluster || r->closing || r->refreshing)
		return;
	r->refreshing = true; /* not armed anew: many reasons in a row must not postpone it for ever */
	loop_timer_set(r->loop, &r->refresh, REFRESH_MS);
}

static void on_slots(redisAsyncContext *ac, void *raw, void *context)
{
	struct redis *r = context;
	const redisReply *reply = raw;
	bool any = false;
	if (r->closing)
		return;
	for (size_t i = 0; reply && i < reply->elements; i++)
		any |= read_range(r, ac->data, reply->element[i]);
	r->mapped |= any;
	if (!any)
		refresh_soon(r);
}

/* Another one every time: a server that hangs still takes connections and questions. */
static struct link *next_up(struct redis *r)
{
	struct link *from = r->asked && r->asked->next ? r->asked->next : r->links, *l = from;
	while (!l->up) {
		l = l->next ? l->next : r->links;
		if (l == from)
			return NULL;
	}
	return r->asked = l;
}

static void refresh_now(struct redis *r)
{
	if (!r->cluster || r->closing)
		return;
	struct link *l = next_up(r);
	if (!l || redisAsyncCommand(l->ac, on_slots, r, "CLUSTER SLOTS") != REDIS_OK)
		refresh_soon(r);
}

static void on_refresh(struct loop_timer *t)
{
	struct redis *r = (struct redis *)((char *)t - offsetof(struct redis, refresh));
	r->refreshing = false;
	refresh_now(r);
}

void route_link_changed(struct link *l)
{
	if (l->up)
		refresh_now(l->redis);
	else
		refresh_soon(l->redis);
}

/* Calls */

static bool is_master(const struct redis *r, const struct link *l)
{
	for (int s = 0; s < SLOTS; s++)
		if (r->slots[s] == l)
			return true;
	return false;
}

static struct link *nth_master(const struct redis *r, int n)
{
	struct link *l = r->links;
	while (l && (!is_master(r, l) || n-- > 0))
		l = l->next;
	return l;
}

int redis_servers(const struct redis *r)
{
	int n = 0;
	while (r->cluster && nth_master(r, n))
		n++;
	return r->cluster ? n : 1;
}

bool redis_is_single(const struct redis *r)
{
	return !r->cluster && !r->sharded;
}

static struct link *route(struct redis *r, const struct call *call)
{
	if (!r->cluster)
		return r->links;
	if (call->server >= 0)
		return nth_master(r, call->server);
	return call->slot < 0 ? any_up(r) : r->slots[call->slot];
}

const char *redis_run(const struct redis *r, struct str key)
{
	const struct link *l = r->cluster ? r->slots[route_slot(key)] : r->links;
	return l && l->up ? l->run : "0000000000000000";
}

static void park(struct redis *r, struct call *call)
{
	call->next = NULL;
	if (!r->parked)
		loop_timer_set(r->loop, &r->unpark, UNPARK_MS);
	*r->parked_last = call;
	r->parked_last = &call->next;
}

void route_call(struct redis *r, struct call *call)
{
	struct link *l = r->closing ? NULL : route(r, call);
	if (l && link_send(l, call, false))
		return;
	if (!r->cluster || r->closing || clock_mono_ms() - call->began_ms > r->conf->redis_timeout_ms) {
		call_end(call, REDIS_REFUSED, NULL);
		return;
	}
	refresh_soon(r); /* who is mapped is away: ask until somebody names another */
	park(r, call);
}

static void on_unpark(struct loop_timer *t)
{
	struct redis *r = (struct redis *)((char *)t - offsetof(struct redis, unpark));
	struct call *call = r->parked;
	r->parked = NULL;
	r->parked_last = &r->parked;
	for (struct call *next; call; call = next) {
		next = call->next;
		route_call(r, call);
	}
}

/* "MOVED 3999 127.0.0.1:6381" */
static bool redirected(const struct link *l, struct str error, char address[256])
{
	struct str rest = error, word, slot;
	int64_t port;
	if (!parse_split(&rest, ' ', &word) || !parse_split(&rest, ' ', &slot) || !rest.p)
		return false;
	const char *colon = memrchr(rest.p, ':', rest.n);
	return colon && parse_int((struct str){ colon + 1, rest.n - (size_t)(colon + 1 - rest.p) }, 1, 65535, &port) &&
	       make_address(address, l, (struct str){ rest.p, (size_t)(colon - rest.p) }, port);
}

bool route_moved(struct link *l, struct call *call, struct str error)
{
	struct redis *r = call->redis;
	char address[256];
	if (r->closing || !r->cluster || !redirected(l, error, address) || call->redirects++ > REDIRECTS_MAX)
		return false;
	call->reloaded = false; /* another server, which may not know the script either */
	if (call->slot >= 0)
		assign(r, call->slot, link_of(r, address));
	refresh_soon(r);
	route_call(r, call);
	return true;
}

bool route_ask(struct link *l, struct call *call, struct str error)
{
	struct redis *r = call->redis;
	char address[256];
	if (r->closing || !r->cluster || !redirected(l, error, address) || call->redirects++ > REDIRECTS_MAX)
		return false;
	call->reloaded = false;
	if (!link_send(link_of(r, address), call, true))
		park(r, call);
	return true;
}

bool route_again(struct link *l, struct call *call, struct str error)
{
	struct redis *r = call->redis;
	(void)l;
	(void)error;
	if (!r->cluster || clock_mono_ms() - call->began_ms > r->conf->redis_timeout_ms)
		return false;
	refresh_soon(r);
	call->alone = true; /* of a batch one key may be here and another not: each for itself it may be answered */
	park(r, call);
	return true;
}

/* Settings: unix:PATH, tcp:HOST:PORT, cluster:HOST:PORT,HOST:PORT,... */

static bool is_host_port(struct str address)
{
	const char *colon = memrchr(address.p, ':', address.n);
	int64_t port;
	return colon && colon > address.p && address.n < 200 &&
	       parse_int((struct str){ colon + 1, address.n - (size_t)(colon + 1 - address.p) }, 1, 65535, &port);
}

static const char *open_list(struct redis *r, struct str list)
{
	struct str address;
	char text[256];
	while (parse_split(&list, ',', &address)) {
		if (!is_host_port(address))
			return "redis must be unix:PATH, tcp:HOST:PORT or cluster:HOST:PORT,HOST:PORT,...";
		snprintf(text, sizeof text, "%.*s", (int)address.n, address.p);
		link_of(r, text);
	}
	return NULL;
}

const char *route_open(struct redis *r)
{
	const char *setting = r->conf->redis;
	const char *colon = strchr(setting, ':');
	r->refresh.fn = on_refresh;
	r->unpark.fn = on_unpark;
	r->cluster = strncmp(setting, "cluster:", 8) == 0;
	if (strncmp(setting, "unix:", 5) == 0 && setting[5]) {
		link_of(r, setting);
		return NULL;
	}
	bool known = r->cluster || strncmp(setting, "tcp:", 4) == 0;
	struct str list = str_of(known ? colon + 1 : "");
	if (!r->cluster && memchr(list.p, ',', list.n))
		list = STR("");
	const char *problem = open_list(r, list);
	if (problem)
		route_close(r);
	return problem;
}

void route_close(struct redis *r)
{
	r->closing = true;
	loop_timer_cancel(r->loop, &r->refresh);
	loop_timer_cancel(r->loop, &r->unpark);
	for (struct link *l = r->links, *next; l; l = next) {
		next = l->next;
		link_close(l);
	}
	r->links = NULL;
	on_unpark(&r->unpark);
}
