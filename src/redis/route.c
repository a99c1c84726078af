/*
 * Which server a call goes to. With one server there is one link. With a
 * Redis Cluster the map of slots is read from any node, corrected by every
 * MOVED, and read again when a node is lost, ten times a second until its
 * slots are with one that answers. A call that a node did not execute
 * (resharding, a failover) is parked and tried again until redis_timeout_ms
 * after its begin, or until its server has been away for a moment; one whose
 * answer was lost is never sent again from here.
 *
 * Redis Cluster Specification: hash slots, hash tags, MOVED and ASK redirection.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "redis/link.h"

/* REFRESH_MS: when the map may have changed; MAP_MS: without a reason. */
enum { REFRESH_MS = 100, MAP_MS = 5000, UNPARK_MS = 10, REDIRECTS_MAX = 16 };

/* A cluster names its nodes as it likes: so many links at most, and none for long that the map does not name. */
enum { LINKS_MAX = 256, REPLICAS_MAX = 16, TIDY_MS = 1000, UNNAMED_MS = 10000 };

enum { MASTER = 2 }; /* its place in a range of the map; the replicas follow */

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

static struct link *link_find(struct redis *r, const char *address)
{
	struct link *l = r->links;
	while (l && strcmp(l->address, address) != 0)
		l = l->next;
	return l;
}

/* NULL: there are too many already. */
static struct link *link_of(struct redis *r, const char *address)
{
	struct link *l = link_find(r, address);
	int count = 0;
	for (const struct link *other = r->links; other; other = other->next)
		count++;
	if (!l && count == LINKS_MAX) {
		log_error_limited("redis_too_many_nodes", LOG_INT("limit", LINKS_MAX));
		return NULL;
	}
	if (!l) {
		l = link_open(r, address);
		l->next = r->links;
		r->links = l;
	}
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

bool route_needs(const struct link *l)
{
	return !l->redis->cluster || !any_up(l->redis) || clock_mono_ms() - l->named_ms <= 2 * (int64_t)TIDY_MS;
}

void route_hurry(struct redis *r)
{
	for (struct link *l = r->links; l; l = l->next)
		if (route_needs(l))
			link_hurry(l);
}

bool route_is_trying(const struct redis *r)
{
	for (const struct link *l = r->links; l; l = l->next)
		if (l->lookup.fn || (l->ac && (!l->up || r->cluster)))
			return true;
	return false;
}

/* The map */

/* It is needed again: what it waits for between tries may have grown long. */
static void need(struct link *l)
{
	bool was_needed = route_needs(l);
	l->named_ms = clock_mono_ms();
	if (!was_needed)
		link_hurry(l);
}

/* Whoever gets a slot may have been demoted and promoted since it told us of its life. */
static void assign(struct redis *r, int slot, struct link *l)
{
	if (r->slots[slot] == l)
		return;
	r->slots[slot] = l;
	link_learn(l);
}

static const redisReply *element(const redisReply *list, size_t i, int type)
{
	bool there = list && list->type == REDIS_REPLY_ARRAY && i < list->elements;
	return there && list->element[i]->type == type ? list->element[i] : NULL;
}

static void log_unreadable(const struct link *asked, struct str host)
{
	log_error_limited("redis_map_unreadable", LOG_TEXT("server", asked->address), LOG_STR("host", host));
}

/* [host, port, ...]: a host that is nil or empty is the one that was asked. */
static struct link *read_node(struct redis *r, const struct link *asked, const redisReply *node)
{
	char address[ADDRESS];
	const redisReply *host = element(node, 0, REDIS_REPLY_STRING), *none = element(node, 0, REDIS_REPLY_NIL);
	const redisReply *port = element(node, 1, REDIS_REPLY_INTEGER);
	struct str name = host ? (struct str){ host->str, (size_t)host->len } : STR("");
	if ((!host && !none) || !port || !address_put(address, name, port->integer, asked->address)) {
		log_unreadable(asked, name);
		return NULL;
	}
	struct link *l = link_of(r, address);
	if (l)
		need(l);
	return l;
}

static void read_replicas(struct redis *r, const struct link *asked, const redisReply *range)
{
	for (size_t i = 0; i < REPLICAS_MAX && element(range, MASTER + 1 + i, REDIS_REPLY_ARRAY); i++) {
		struct link *l = read_node(r, asked, range->element[MASTER + 1 + i]);
		if (l)
			l->replica = true;
	}
}

/* [first slot, last slot, node of the master, nodes of its replicas...] */
static struct link *read_range(struct redis *r, const struct link *asked, const redisReply *range, int64_t *first,
			       int64_t *last)
{
	const redisReply *from = element(range, 0, REDIS_REPLY_INTEGER), *to = element(range, 1, REDIS_REPLY_INTEGER);
	if (!from || !to || from->integer < 0 || to->integer >= SLOTS) {
		log_unreadable(asked, STR(""));
		return NULL;
	}
	struct link *l = read_node(r, asked, element(range, MASTER, REDIS_REPLY_ARRAY));
	if (!l)
		return NULL;
	*first = from->integer;
	*last = to->integer;
	l->replicas = (int)(range->elements - (MASTER + 1));
	if (r->with_replicas)
		read_replicas(r, asked, range);
	return l;
}

void route_refresh_soon(struct redis *r)
{
	if (!r->cluster || r->closing || r->refreshing)
		return;
	r->refreshing = true; /* not armed anew: many reasons in a row must not postpone it for ever */
	loop_timer_set(r->loop, &r->refresh, REFRESH_MS);
}

/* Slots whose server is not up: somebody else may have them by now, and nothing tells us. */
static bool misses_master(const struct redis *r)
{
	for (int s = 0; s < SLOTS; s++)
		if (r->slots[s] && !r->slots[s]->up)
			return true;
	return false;
}

/* A slot is in one range: so much work a map is at most, whatever it says. */
static void read_map(struct redis *r, const struct link *asked, const redisReply *map)
{
	int64_t first, last, rest = SLOTS;
	bool readable = false;
	for (struct link *l = r->links; l; l = l->next)
		l->replica = false;
	for (size_t i = 0; i < map->elements && i < SLOTS && rest > 0; i++) {
		struct link *l = read_range(r, asked, map->element[i], &first, &last);
		if (!l)
			continue;
		readable = true;
		for (; first <= last && rest > 0; first++, rest--)
			assign(r, (int)first, l);
	}
	r->mapped |= readable;
	r->maps += readable;
	if (!readable || misses_master(r))
		route_refresh_soon(r);
}

static void on_slots(redisAsyncContext *ac, void *raw, void *context)
{
	struct redis *r = context;
	const redisReply *reply = raw;
	if (r->closing)
		return;
	if (!reply || reply->type != REDIS_REPLY_ARRAY) {
		route_refresh_soon(r);
		return;
	}
	read_map(r, ac->data, reply);
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
		route_refresh_soon(r);
}

static void on_refresh(struct loop_timer *t)
{
	struct redis *r = container_of(t, struct redis, refresh);
	r->refreshing = false;
	refresh_now(r);
	if (misses_master(r))
		route_refresh_soon(r);
	else if (!r->refreshing && !r->closing)
		loop_timer_set(r->loop, &r->refresh, MAP_MS);
}

void route_link_changed(struct link *l)
{
	if (l->up)
		refresh_now(l->redis);
	else
		route_refresh_soon(l->redis);
}

/* Calls */

static bool is_master(const struct redis *r, const struct link *l)
{
	for (int s = 0; s < SLOTS; s++)
		if (r->slots[s] == l)
			return true;
	return false;
}

static bool is_replica(const struct redis *r, const struct link *l)
{
	return l->replica && !is_master(r, l);
}

typedef bool kind_of_node(const struct redis *r, const struct link *l);

static struct link *nth(const struct redis *r, kind_of_node *is, int n)
{
	struct link *l = r->links;
	while (l && (!is(r, l) || n-- > 0))
		l = l->next;
	return l;
}

static int count(const struct redis *r, kind_of_node *is)
{
	int n = 0;
	for (const struct link *l = r->links; l; l = l->next)
		n += is(r, l);
	return n;
}

int redis_servers(const struct redis *r)
{
	return r->cluster ? count(r, is_master) : 1;
}

int redis_replicas(const struct redis *r)
{
	return r->cluster ? count(r, is_replica) : 0;
}

static struct link *nth_server(const struct redis *r, int n)
{
	int masters = redis_servers(r);
	return n < masters ? nth(r, is_master, n) : nth(r, is_replica, n - masters);
}

int redis_replicas_of(const struct redis *r, int server)
{
	const struct link *l = r->cluster ? nth_server(r, server) : NULL;
	return l && l->replicas > 0 ? l->replicas : 0;
}

const char *redis_server_name(const struct redis *r, int server)
{
	const struct link *l = r->cluster ? nth_server(r, server) : r->links;
	return l ? l->address : "";
}

static bool is_settled(const struct redis *r)
{
	for (const struct link *l = r->links; l; l = l->next)
		if (!l->up && !l->away_ms)
			return false;
	return true;
}

void redis_survey(struct redis *r)
{
	int64_t deadline = clock_mono_ms() + r->conf->redis_timeout_ms;
	unsigned maps = r->maps;
	loop_turn(r->loop, 0);
	route_hurry(r);
	redis_wait_up(r);
	if (!r->cluster)
		return;
	r->with_replicas = true;
	refresh_now(r);
	route_refresh_soon(r); /* of another one, should the first not answer */
	while ((r->maps == maps || !is_settled(r)) && any_up(r) && clock_mono_ms() < deadline)
		loop_turn(r->loop, 10);
}

/* The least of all masters. */
int redis_wait_replicas(const struct redis *r)
{
	int least = -1;
	for (const struct link *l = r->links; l; l = l->next)
		if (!r->cluster || is_master(r, l))
			least = least < 0 || confirm_replicas(l) < least ? confirm_replicas(l) : least;
	return least < 0 ? 0 : least;
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
		return nth_server(r, call->server);
	return call->slot < 0 ? any_up(r) : r->slots[call->slot];
}

static const struct link *link_of_key(const struct redis *r, struct str key)
{
	return r->cluster ? r->slots[route_slot(key)] : r->links;
}

bool redis_reaches(const struct redis *r, struct str key)
{
	const struct link *l = link_of_key(r, key);
	return l && l->up;
}

const char *redis_incarnation(const struct redis *r, struct str key)
{
	return redis_reaches(r, key) ? link_of_key(r, key)->run : "0000000000000000";
}

static void park(struct redis *r, struct call *call)
{
	call->next = NULL;
	if (!r->parked)
		loop_timer_set(r->loop, &r->unpark, UNPARK_MS);
	*r->parked_last = call;
	r->parked_last = &call->next;
}

static bool is_over(const struct redis *r, const struct call *call)
{
	return clock_mono_ms() - call->began_ms > r->conf->redis_timeout_ms;
}

void route_call(struct redis *r, struct call *call)
{
	struct link *l = r->closing ? NULL : route(r, call);
	if (l && link_send(l, call, false))
		return;
	if (r->cluster && !r->closing)
		route_refresh_soon(r); /* who is mapped is away: ask until somebody names another */
	if (!r->cluster || r->closing || (l && link_is_away(l)) || is_over(r, call))
		call_end(call, REDIS_REFUSED, NULL);
	else
		park(r, call);
}

static void on_unpark(struct loop_timer *t)
{
	struct redis *r = container_of(t, struct redis, unpark);
	struct call *call = r->parked;
	r->parked = NULL;
	r->parked_last = &r->parked;
	for (struct call *next; call; call = next) {
		next = call->next;
		route_call(r, call);
	}
}

/* "MOVED 3999 127.0.0.1:6381": the link to that server, or NULL. An empty host means the one that we asked. */
static struct link *redirected(struct link *l, struct call *call, struct str error)
{
	struct redis *r = call->redis;
	struct str rest = error, word, slot;
	char address[ADDRESS];
	if (r->closing || !r->cluster || call->redirects++ > REDIRECTS_MAX)
		return NULL;
	if (!parse_split(&rest, ' ', &word) || !parse_split(&rest, ' ', &slot) ||
	    !address_read(address, rest, l->address))
		return NULL;
	struct link *to = link_of(r, address);
	if (to)
		need(to);
	return to;
}

bool route_moved(struct link *l, struct call *call, struct str error)
{
	struct redis *r = call->redis;
	struct link *to = redirected(l, call, error);
	if (!to)
		return false;
	call->reloaded = false; /* another server, which may not know the script either */
	if (call->slot >= 0)
		assign(r, call->slot, to);
	route_refresh_soon(r);
	route_call(r, call);
	return true;
}

bool route_ask(struct link *l, struct call *call, struct str error)
{
	struct link *to = redirected(l, call, error);
	if (!to)
		return false;
	call->reloaded = false;
	if (!link_send(to, call, true))
		park(call->redis, call);
	return true;
}

bool route_again(struct link *l, struct call *call, struct str error)
{
	struct redis *r = call->redis;
	(void)l;
	(void)error;
	if (!r->cluster || is_over(r, call))
		return false;
	route_refresh_soon(r);
	call->alone = true; /* of a batch one key may be here and another not: each for itself it may be answered */
	park(r, call);
	return true;
}

bool route_unready(struct link *l, struct call *call, struct str error)
{
	return !link_is_unready(l) && route_again(l, call, error);
}

/* Settings: unix:PATH, tcp:HOST:PORT, cluster:HOST:PORT,HOST:PORT,... */

static const char *open_list(struct redis *r, struct str list)
{
	struct str text;
	char address[ADDRESS];
	while (parse_split(&list, ',', &text)) {
		struct link *l = address_read(address, text, NULL) ? link_of(r, address) : NULL;
		if (!l)
			return "redis must be unix:PATH, tcp:HOST:PORT or cluster:HOST:PORT,HOST:PORT,...";
		l->kept = true;
	}
	return NULL;
}

/* A node that left the cluster: calls that it had are over, and nothing leads to it. */
static void forget_unnamed(struct redis *r)
{
	for (struct link **at = &r->links, *l; (l = *at);) {
		if (l->kept || clock_mono_ms() - l->named_ms <= UNNAMED_MS || !link_is_idle(l)) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		if (r->asked == l)
			r->asked = NULL;
		log_info("redis_node_forgotten", LOG_TEXT("server", l->address));
		link_close(l);
	}
}

static void on_tidy(struct loop_timer *t)
{
	struct redis *r = container_of(t, struct redis, tidy);
	int64_t now = clock_mono_ms();
	for (int slot = 0; slot < SLOTS; slot++)
		if (r->slots[slot])
			r->slots[slot]->named_ms = now;
	for (struct link *l = r->links; l; l = l->next)
		if (l->replica)
			l->named_ms = now;
	forget_unnamed(r);
	loop_timer_set(r->loop, &r->tidy, TIDY_MS);
}

const char *route_open(struct redis *r)
{
	const char *setting = r->conf->redis;
	const char *colon = strchr(setting, ':');
	r->refresh.fn = on_refresh;
	r->unpark.fn = on_unpark;
	r->tidy.fn = on_tidy;
	r->cluster = strncmp(setting, "cluster:", 8) == 0;
	if (r->cluster)
		loop_timer_set(r->loop, &r->refresh, MAP_MS);
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
	else if (r->cluster)
		loop_timer_set(r->loop, &r->tidy, TIDY_MS);
	return problem;
}

void route_close(struct redis *r)
{
	r->closing = true;
	loop_timer_cancel(r->loop, &r->refresh);
	loop_timer_cancel(r->loop, &r->unpark);
	loop_timer_cancel(r->loop, &r->tidy);
	for (struct link *l = r->links, *next; l; l = next) {
		next = l->next;
		link_close(l);
	}
	r->links = NULL;
	on_unpark(&r->unpark);
}
