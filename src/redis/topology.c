#include "redis/topology.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "redis/address.h"

/* When the map is read again: REFRESH_MS after a sign that it has changed, and after MAP_MS without one. */
enum { REFRESH_MS = 100, MAP_MS = 5000 };

/*
 * A cluster may name any number of nodes; at most NODES_MAX are connected, and at most REPLICAS_MAX replicas of a
 * master. Every TIDY_MS, nodes that were not named for UNNAMED_MS are forgotten.
 */
enum { NODES_MAX = 256, REPLICAS_MAX = 16, TIDY_MS = 1000, UNNAMED_MS = 10000 };

/* Nodes */

static bool is_up(const struct node *n)
{
	return link_is_up(n->link);
}

static struct node *any_up(const struct topology *t)
{
	struct node *n = t->nodes;
	while (n && !is_up(n))
		n = n->next;
	return n;
}

static struct node *node_new(struct topology *t, const char *address)
{
	struct node *n = alloc_zeroed(1, sizeof *n);
	n->topology = t;
	n->replicas = -1;
	n->named_ms = clock_mono_ms();
	n->link = link_open(&t->shared, address, n);
	n->next = t->nodes;
	t->nodes = n;
	return n;
}

static void node_free(struct node *n)
{
	link_close(n->link);
	free(n);
}

/* The node with this address; a new one if there is none. NULL: there are NODES_MAX others. */
static struct node *node_of(struct topology *t, const char *address)
{
	int count = 0;
	for (struct node *n = t->nodes; n; n = n->next, count++)
		if (strcmp(link_address(n->link), address) == 0)
			return n;
	if (count < NODES_MAX)
		return node_new(t, address);
	log_error_limited("redis_too_many_nodes", LOG_INT("limit", NODES_MAX));
	return NULL;
}

static bool is_needed(void *owner)
{
	const struct node *n = owner;
	const struct topology *t = n->topology;
	return !t->is_cluster || !any_up(t) || clock_mono_ms() - n->named_ms <= 2 * (int64_t)TIDY_MS;
}

/* A node that was not needed may not try to connect for seconds, so link_hurry makes it try now. */
static void node_note_named(struct node *n)
{
	bool was_needed = is_needed(n);
	n->named_ms = clock_mono_ms();
	if (!was_needed)
		link_hurry(n->link);
}

struct node *topology_get_or_add(struct topology *t, const char *address)
{
	struct node *n = node_of(t, address);
	if (n)
		node_note_named(n);
	return n;
}

/* A node that is given a hash slot may have been demoted and promoted since its incarnation was read. */
void topology_assign(struct topology *t, int hash_slot, struct node *n)
{
	if (t->slots[hash_slot] == n)
		return;
	t->slots[hash_slot] = n;
	link_verify(n->link);
}

/* Reading a map */

enum { MASTER = 2 }; /* where the master is in a range of the map; its replicas follow */

static void log_unreadable(const struct node *asked, struct str host)
{
	log_error_limited("redis_map_unreadable", LOG_TEXT("server", link_address(asked->link)), LOG_STR("host", host));
}

/* [host, port, ...]: if the host is nil or empty, it is the host of `asked`. */
static struct node *read_node(struct topology *t, const struct node *asked, const struct redis_reply *node)
{
	char address[ADDRESS];
	const struct redis_reply *host = redis_at(node, 0), *port = redis_at(node, 1);
	bool has_host = host && (redis_type(host) == REDIS_TEXT || redis_type(host) == REDIS_NIL);
	if (!has_host || redis_type(port) != REDIS_INT ||
	    !address_put(address, redis_text(host), redis_number(port), link_address(asked->link))) {
		log_unreadable(asked, redis_text(host));
		return NULL;
	}
	return topology_get_or_add(t, address);
}

static void read_replicas(struct topology *t, const struct node *asked, const struct redis_reply *range)
{
	for (size_t i = MASTER + 1; i <= MASTER + REPLICAS_MAX && redis_type(redis_at(range, i)) == REDIS_LIST; i++) {
		struct node *n = read_node(t, asked, redis_at(range, i));
		if (n)
			n->is_replica = true;
	}
}

/* [first slot, last slot, node of the master, nodes of its replicas...] */
static struct node *read_range(struct topology *t, const struct node *asked, const struct redis_reply *range,
			       int64_t *first, int64_t *last)
{
	const struct redis_reply *from = redis_at(range, 0), *to = redis_at(range, 1);
	if (redis_type(from) != REDIS_INT || redis_type(to) != REDIS_INT ||
	    !redis_number_in(from, 0, HASH_SLOTS - 1, first) || !redis_number_in(to, 0, HASH_SLOTS - 1, last)) {
		log_unreadable(asked, STR(""));
		return NULL;
	}
	struct node *n = read_node(t, asked, redis_at(range, MASTER));
	if (!n)
		return NULL;
	n->replicas = (int)(redis_count(range) - (MASTER + 1));
	if (t->with_replicas)
		read_replicas(t, asked, range);
	return n;
}

/* True: a master is not up. Another node may have got its hash slots, and only a new map names that node. */
static bool misses_master(const struct topology *t)
{
	for (int s = 0; s < HASH_SLOTS; s++)
		if (t->slots[s] && !is_up(t->slots[s]))
			return true;
	return false;
}

/* Each hash slot is in one range, so at most HASH_SLOTS are assigned, whatever a server sends. */
static void read_map(struct topology *t, const struct node *asked, const struct redis_reply *map)
{
	int64_t first, last, rest = HASH_SLOTS;
	bool readable = false;
	for (struct node *n = t->nodes; n; n = n->next)
		n->is_replica = false;
	for (size_t i = 0; i < redis_count(map) && i < HASH_SLOTS && rest > 0; i++) {
		struct node *n = read_range(t, asked, redis_at(map, i), &first, &last);
		if (!n)
			continue;
		readable = true;
		for (; first <= last && rest > 0; first++, rest--)
			topology_assign(t, (int)first, n);
	}
	t->was_read |= readable;
	t->reads += readable;
	if (!readable || misses_master(t))
		topology_refresh_soon(t);
}

static void on_map(void *owner, const struct redis_reply *reply)
{
	struct node *asked = owner;
	struct topology *t = asked->topology;
	if (t->shared.is_closing)
		return;
	if (redis_type(reply) == REDIS_LIST)
		read_map(t, asked, reply);
	else
		topology_refresh_soon(t);
}

/* Asking for a map */

void topology_refresh_soon(struct topology *t)
{
	if (!t->is_cluster || t->shared.is_closing || t->is_refreshing)
		return;
	t->is_refreshing = true; /* until the timer runs: further calls must not postpone it */
	loop_timer_set(t->shared.loop, &t->refresh, REFRESH_MS);
}

/* Another node every time, because a server that hangs still accepts connections and commands. */
static struct node *next_up(struct topology *t)
{
	struct node *from = t->asked && t->asked->next ? t->asked->next : t->nodes, *n = from;
	while (!is_up(n)) {
		n = n->next ? n->next : t->nodes;
		if (n == from)
			return NULL;
	}
	return t->asked = n;
}

static void refresh_now(struct topology *t)
{
	if (!t->is_cluster || t->shared.is_closing)
		return;
	struct node *n = next_up(t);
	if (!n || !link_ask_map(n->link))
		topology_refresh_soon(t);
}

static void on_refresh(struct loop_timer *timer)
{
	struct topology *t = container_of(timer, struct topology, refresh);
	t->is_refreshing = false;
	refresh_now(t);
	if (misses_master(t))
		topology_refresh_soon(t);
	else if (!t->is_refreshing && !t->shared.is_closing)
		loop_timer_set(t->shared.loop, &t->refresh, MAP_MS);
}

void topology_add_replicas(struct topology *t)
{
	if (!t->is_cluster)
		return;
	t->with_replicas = true;
	refresh_now(t);
	topology_refresh_soon(t); /* from another node, in case the first one does not answer */
}

static void on_change(void *owner)
{
	struct node *n = owner;
	if (is_up(n))
		refresh_now(n->topology);
	else
		topology_refresh_soon(n->topology);
}

/* A replica may have left; then the next map does not name it. */
static void on_unreplicated(void *owner)
{
	topology_refresh_soon(((struct node *)owner)->topology);
}

/* Looking for a node */

typedef bool kind_of_node(const struct node *n);

static bool is_master(const struct node *n)
{
	for (int s = 0; s < HASH_SLOTS; s++)
		if (n->topology->slots[s] == n)
			return true;
	return false;
}

static bool is_replica(const struct node *n)
{
	return n->is_replica && !is_master(n);
}

static struct node *nth_node(const struct topology *t, kind_of_node *is_kind, int place)
{
	struct node *n = t->nodes;
	while (n && (!is_kind(n) || place-- > 0))
		n = n->next;
	return n;
}

static int count_nodes(const struct topology *t, kind_of_node *is_kind)
{
	int count = 0;
	for (const struct node *n = t->nodes; n; n = n->next)
		count += is_kind(n);
	return count;
}

int topology_masters(const struct topology *t)
{
	return t->is_cluster ? count_nodes(t, is_master) : 1;
}

int topology_replicas(const struct topology *t)
{
	return t->is_cluster ? count_nodes(t, is_replica) : 0;
}

/* Servers are numbered: the masters first, then the replicas. */
static struct node *nth_server(struct topology *t, int server)
{
	int masters = topology_masters(t);
	return server < masters ? nth_node(t, is_master, server) : nth_node(t, is_replica, server - masters);
}

int topology_number(const struct topology *t, const struct node *n)
{
	int number = 0;
	for (const struct node *other = t->nodes; other; other = other->next) {
		if (other == n)
			return is_master(n) ? number : -1;
		number += is_master(other);
	}
	return -1;
}

struct node *topology_find(struct topology *t, int hash_slot, int server)
{
	if (!t->is_cluster)
		return t->nodes;
	if (server >= 0)
		return nth_server(t, server);
	return hash_slot < 0 ? any_up(t) : t->slots[hash_slot];
}

/* All nodes */

void topology_hurry(struct topology *t)
{
	for (struct node *n = t->nodes; n; n = n->next)
		if (is_needed(n))
			link_hurry(n->link);
}

void topology_flush(struct topology *t)
{
	for (struct node *n = t->nodes; n; n = n->next)
		link_flush(n->link);
}

bool topology_has_link(const struct topology *t)
{
	return any_up(t);
}

bool topology_is_up(const struct topology *t)
{
	return t->is_cluster ? t->was_read && any_up(t) : is_up(t->nodes);
}

bool topology_is_trying(const struct topology *t)
{
	for (const struct node *n = t->nodes; n; n = n->next)
		if (link_is_connecting(n->link) || (t->is_cluster && is_up(n)))
			return true;
	return false;
}

bool topology_is_settled(const struct topology *t)
{
	for (const struct node *n = t->nodes; n; n = n->next)
		if (!is_up(n) && !link_has_failed(n->link))
			return false;
	return true;
}

const char *topology_problem(const struct topology *t, bool *is_refused)
{
	const char *problem = NULL;
	for (const struct node *n = t->nodes; n && !problem; n = n->next)
		problem = link_problem(n->link, is_refused);
	if (problem)
		return problem;
	*is_refused = false;
	return any_up(t) ? "the map of the cluster is not known" : "no connection yet";
}

/*
 * `auto` means 1 if the map names a replica for this master, and also while no map has named the master yet. The map
 * leaves out replicas that the cluster has marked as failed; it still names a replica that only some nodes cannot
 * reach.
 */
int node_wait_replicas(const struct node *n)
{
	int wanted = n->topology->shared.conf->wait_replicas;
	return wanted != CONF_AUTO ? wanted : n->topology->is_cluster && n->replicas;
}

int topology_wait_replicas(const struct topology *t)
{
	int least = -1;
	for (const struct node *n = t->nodes; n; n = n->next)
		if (!t->is_cluster || is_master(n))
			least = least < 0 || node_wait_replicas(n) < least ? node_wait_replicas(n) : least;
	return least < 0 ? 0 : least;
}

/* Forgetting nodes that have left the cluster: no hash slot and no call leads to them any more */

static void forget_unnamed(struct topology *t)
{
	for (struct node **at = &t->nodes, *n; (n = *at);) {
		if (n->is_kept || clock_mono_ms() - n->named_ms <= UNNAMED_MS || !link_is_idle(n->link)) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		if (t->asked == n)
			t->asked = NULL;
		log_info("redis_node_forgotten", LOG_TEXT("server", link_address(n->link)));
		node_free(n);
	}
}

static void on_tidy(struct loop_timer *timer)
{
	struct topology *t = container_of(timer, struct topology, tidy);
	int64_t now = clock_mono_ms();
	for (int s = 0; s < HASH_SLOTS; s++)
		if (t->slots[s])
			t->slots[s]->named_ms = now;
	for (struct node *n = t->nodes; n; n = n->next)
		if (n->is_replica)
			n->named_ms = now;
	forget_unnamed(t);
	loop_timer_set(t->shared.loop, &t->tidy, TIDY_MS);
}

/* The setting */

static const char *open_list(struct topology *t, struct str list)
{
	struct str text;
	char address[ADDRESS];
	while (parse_split(&list, ',', &text)) {
		if (!address_read(address, text, NULL))
			return "redis must be unix:PATH, tcp:HOST:PORT or cluster:HOST:PORT,HOST:PORT,...";
		struct node *n = node_of(t, address);
		if (!n)
			return "redis names more than 256 nodes";
		n->is_kept = true;
	}
	return NULL;
}

static const char *open_setting(struct topology *t, struct str setting)
{
	bool is_unix = str_starts(setting, STR("unix:")) && setting.n > 5;
	bool is_known = t->is_cluster || str_starts(setting, STR("tcp:"));
	struct str list = STR("");
	if (is_unix) {
		node_of(t, setting.p);
		return NULL;
	}
	if (is_known)
		list = (struct str){ strchr(setting.p, ':') + 1, 0 };
	list.n = strlen(list.p);
	if (!t->is_cluster && memchr(list.p, ',', list.n))
		list = STR("");
	return open_list(t, list);
}

const char *topology_open(struct topology *t, const char *setting)
{
	t->shared.events.on_map = on_map;
	t->shared.events.on_change = on_change;
	t->shared.events.on_unreplicated = on_unreplicated;
	t->shared.events.is_needed = is_needed;
	t->refresh.fn = on_refresh;
	t->tidy.fn = on_tidy;
	t->is_cluster = strncmp(setting, "cluster:", 8) == 0;
	if (t->is_cluster) {
		loop_timer_set(t->shared.loop, &t->refresh, MAP_MS);
		loop_timer_set(t->shared.loop, &t->tidy, TIDY_MS);
	}
	return open_setting(t, str_of(setting));
}

void topology_close(struct topology *t)
{
	t->shared.is_closing = true;
	loop_timer_cancel(t->shared.loop, &t->refresh);
	loop_timer_cancel(t->shared.loop, &t->tidy);
	for (struct node *n = t->nodes, *next; n; n = next) {
		next = n->next;
		node_free(n);
	}
	t->nodes = NULL;
	free(t->shared.text.p);
}
