/*
 * The client of Redis, for one server or a cluster: a pipelined connection to each server, driven by an event loop.
 * Other rooms include only this header. A server answers commands in their order; commands that are sent in one turn of
 * the loop leave in one write. Only redis_call, redis_wait_all, redis_wait_up and redis_survey block: they turn the
 * loop, so they are for a client that has a loop of its own.
 *
 * Every command ends exactly once, with its callback, whatever happens to its server.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include "base/loop.h"
#include "host/conf.h"
#include "resp/command.h"
#include "resp/reply.h"

struct redis;

/*
 * Connects in the background, and tries again after 50 to 250 ms. If a server does not know a script, loads the script
 * and sends the call again. Keeps pointers to loop and conf. NULL: the setting is wrong, and *problem says why.
 */
struct redis *redis_new(struct loop *loop, const struct conf *conf, const char **problem);
void redis_free(struct redis *r); /* outstanding commands end as REDIS_UNKNOWN; NULL is allowed */

/* One server: connected. A cluster: a map was read, and a node is connected. */
bool redis_is_up(const struct redis *r);

/*
 * NULL when redis_is_up. Otherwise the reason, "SERVER: REASON", valid until the next call; *refused: the server
 * answers, and refuses the login (WRONGPASS, NOAUTH, too many clients, ...).
 */
const char *redis_problem(const struct redis *r, bool *refused);

/*
 * A counter that grows whenever a server comes up, has another incarnation, or is given hash slots of a cluster. While
 * it stays the same, no slot becomes suspect.
 */
unsigned redis_changes(const struct redis *r);
int64_t redis_changed_ms(const struct redis *r); /* when redis_changes grew last, by clock_mono_ms */

/* Blocks until redis_is_up, or until no connection is being made; at most redis_timeout_ms. */
void redis_wait_up(struct redis *r);

/* The incarnation, REDIS_INCARNATION characters, of the server that has a key now; zeros while it is not connected. */
const char *redis_incarnation(const struct redis *r, struct str key);

/* Whether the server that has a key now is connected. */
bool redis_reaches(const struct redis *r, struct str key);

/* Whether one server has all keys, so that a command may have keys of different hash slots. */
bool redis_is_single(const struct redis *r);

/* The number of servers that have keys: 1, or the masters of a cluster; 0 while the cluster's map is not known. */
int redis_servers(const struct redis *r);

/* The number of the server that has a key now, below redis_servers; -1: not known. */
int redis_server_of(const struct redis *r, struct str key);

/*
 * Reads the map of a cluster again, and from now on connects to replicas, too: as a command's `server` they have the
 * numbers after the masters. Blocks until every node is connected or a try to connect has failed, at most
 * redis_timeout_ms.
 */
void redis_survey(struct redis *r);
int redis_replicas(const struct redis *r);                        /* 0 before a survey */
int redis_replicas_of(const struct redis *r, int server);         /* of a master, by the cluster's map */
const char *redis_server_name(const struct redis *r, int server); /* its address, until the next turn; or "" */

/*
 * How many replicas, on every master, have a claim when it is acknowledged: the setting wait_replicas; for `auto`, 1
 * when the cluster's map names a replica for each master, else 0.
 */
int redis_wait_replicas(const struct redis *r);
/* Whether wait_replicas may demand a replica of any server. */
bool redis_may_wait(const struct redis *r);

/*
 * Only to be called in the callback of a write. Calls done with REDIS_ANSWER once as many replicas of that server as
 * wait_replicas demands have in memory what was written through this connection; with REDIS_UNKNOWN when they do not
 * within wait_ms. If no replica is demanded, calls done before it returns. Calls in one turn of the loop share one
 * WAIT.
 */
void redis_replicate(struct redis *r, redis_done *done, void *context);

/* Queues a command. The callback may run before this returns, with REDIS_REFUSED when there is no connection. */
void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context);

/*
 * Sends a command and blocks until it ends. The reply is a copy in the arena; reply may be NULL. While a connection is
 * being made, waits for it, at most redis_timeout_ms. REDIS_REFUSED at once when the server has been unreachable for a
 * quarter of a second.
 */
enum redis_outcome redis_call(struct redis *r, struct arena *a, const struct redis_command *c,
			      const struct redis_reply **reply);

/* Blocks until every command that was sent with redis_send has ended. */
void redis_wait_all(struct redis *r);

/* Writes queued commands, as much as the sockets take, so that the servers begin before redis_wait_all is called. */
void redis_push(struct redis *r);

#endif
