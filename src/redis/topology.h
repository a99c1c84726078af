/*
 * The servers, and which hash slots each one has. A single server is one node without a map. The map of a cluster is
 * read from any node, and corrected by every MOVED. When a node is lost, the map is read ten times a second until all
 * hash slots are those of reachable nodes. See the Redis Cluster Specification.
 */
#ifndef REDIS_TOPOLOGY_H
#define REDIS_TOPOLOGY_H

#include "redis/hash_slot.h"
#include "redis/link.h"

/* A server: the owner of a link. */
struct node {
	struct node *next;
	struct topology *topology;
	struct link *link;
	bool is_kept;     /* the setting names it, so it is kept also without hash slots */
	bool is_replica;  /* the map names it as a replica */
	int replicas;     /* how many replicas the map names for this master; -1: no map has named this master yet */
	int64_t named_ms; /* when it last had a hash slot, or a map or a redirection named it */
};

struct topology {
	struct link_shared shared;
	struct node *nodes;
	struct node *asked; /* the node that was asked for its map last */
	bool is_cluster;
	bool with_replicas;             /* connect to replicas, too */
	bool was_read;                  /* a map was read */
	bool is_refreshing;             /* a map will be read soon */
	unsigned reads;                 /* how many maps were read */
	struct node *slots[HASH_SLOTS]; /* cluster: the master of each; NULL: not known */
	struct loop_timer refresh, tidy;
};

/*
 * Opens links to the servers of the setting: unix:PATH, tcp:HOST:PORT or cluster:HOST:PORT,HOST:PORT,... Returns NULL,
 * or what is wrong with the setting; topology_close must be called in both cases. In a zeroed topology, the caller has
 * set loop, conf and password of `shared`, and the events on_reply and on_unsent, which get a struct node as owner.
 */
const char *topology_open(struct topology *t, const char *setting);
void topology_close(struct topology *t);

/* The server with this number or, when server is -1, the one for a hash slot (-1: any that is up). NULL: not known. */
struct node *topology_find(struct topology *t, int hash_slot, int server);
/* The number of a master; -1 for any other node, and for NULL. */
int topology_number(const struct topology *t, const struct node *n);
/* The node with this address, which a map or a redirection names; a new node if none has it. NULL: too many nodes. */
struct node *topology_get_or_add(struct topology *t, const char *address);
/* Notes that the node has the hash slot. */
void topology_assign(struct topology *t, int hash_slot, struct node *n);

/* Reads the map within a tenth of a second, because it may have changed. */
void topology_refresh_soon(struct topology *t);
/* Reads the map now, and from now on connects to replicas, too. */
void topology_add_replicas(struct topology *t);
/* Connects at once to nodes that are not up, for a caller that waits. */
void topology_hurry(struct topology *t);
void topology_flush(struct topology *t); /* calls link_flush for every node */

bool topology_is_up(const struct topology *t);
bool topology_is_trying(const struct topology *t);  /* a connection is being made, or the map is being read */
bool topology_is_settled(const struct topology *t); /* every node is up or has failed */
bool topology_has_link(const struct topology *t);   /* any node is up */
/* As redis_problem. */
const char *topology_problem(const struct topology *t, bool *is_refused);

int topology_masters(const struct topology *t);
int topology_replicas(const struct topology *t);

/* How many replicas must have a write before this node's reply is acknowledged. */
int node_wait_replicas(const struct node *n);
/* The lowest node_wait_replicas of all masters. */
int topology_wait_replicas(const struct topology *t);

#endif
