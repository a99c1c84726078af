/*
 * Redis, one server or a cluster: a pipelined connection to each, driven by
 * an event loop. store/redis_* is the only code that knows hiredis. Commands are answered in order; what a turn of the
 * loop queues leaves in one write. Nothing here blocks but redis_call.
 *
 * A command's end is always told, exactly once, by its callback.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/loop.h"
#include "base/parse.h"
#include "host/conf.h"

enum redis_outcome {
	REDIS_ANSWER,  /* the reply is there, and is not an error */
	REDIS_REFUSED, /* not executed: no connection, or an error that says so (LOADING, READONLY, OOM, ...) */
	REDIS_UNKNOWN, /* sent, and no answer came: it may have been executed */
	REDIS_BROKEN,  /* an error that no healthy server gives (WRONGTYPE, a script's runtime error) */
};

/* A reply, valid during the callback (redis_call: until the arena is reset). */
struct redis_reply;

enum redis_type { REDIS_NIL, REDIS_INT, REDIS_TEXT, REDIS_LIST };
enum redis_type redis_type(const struct redis_reply *r);
size_t redis_count(const struct redis_reply *r);                           /* elements of a list, else 0 */
const struct redis_reply *redis_at(const struct redis_reply *r, size_t i); /* NULL past the end */
struct str redis_text(const struct redis_reply *r);                        /* "" unless text */
/*
 * An int, or text that is one, within NUMBER_MAX either way; else 0. Scripts calculate in doubles, so no sound number
 * is larger; and the sum of a coupon's segments, or a second in milliseconds, fits in 64 bits.
 */
int64_t redis_number(const struct redis_reply *r);
/* For a number that must be there: false when there is none within the bounds, and *value stays. */
bool redis_number_in(const struct redis_reply *r, int64_t min, int64_t max, int64_t *value);
/* Of a list: its i-th element as text or as a number. */
struct str redis_text_at(const struct redis_reply *r, size_t i);
int64_t redis_number_at(const struct redis_reply *r, size_t i);

/* Of a map as HGETALL gives it: the value of a field, or NULL. */
const struct redis_reply *redis_member(const struct redis_reply *map, const char *name);

/* reply is NULL unless end is REDIS_ANSWER or (the error as text) REDIS_REFUSED, REDIS_BROKEN. */
typedef void redis_done(void *context, enum redis_outcome end, const struct redis_reply *reply);

/* A Lua script: its text and its SHA1, made at build time from lua/NAME.lua. */
struct redis_script {
	const char *name, *text, *sha1;
};

/*
 * A command under construction: words are copied as they are put. Up to 48 words, 4 KB. Words of our own are bounded by
 * their callers; what was read from a store and goes back may have any length. A word that has no room makes the
 * command `overlong`: it is not sent, and ends as REDIS_BROKEN.
 */
enum { REDIS_WORDS = 48, REDIS_TEXT_MAX = 4096 + REDIS_WORDS * 16 };

struct redis_command {
	const struct redis_script *script; /* NULL for a plain command */
	struct str key;                    /* the first one, which decides the server; p is NULL: any server answers */
	int server; /* -1, or which of redis_servers must answer: for questions about the server itself */
	size_t run; /* where in text the run id of a fence is, or 0 */
	bool batch, overlong;
	int keys;        /* of a batch: how many of its words, the first ones, are keys, */
	size_t keys_end; /* and where in text they end */
	int argc;
	size_t used;
	char text[REDIS_TEXT_MAX]; /* the words as RESP has them: "$3\r\nGET\r\n" */
};

/* A plain command starts with its name; a script call with its keys, all in one slot. */
void redis_command(struct redis_command *c, const char *name);
void redis_script(struct redis_command *c, const struct redis_script *s, int keys);
/*
 * A call of a script that takes many at once: calls of one turn of the loop, with as many keys and arguments (and, in a
 * cluster, in the same slot), leave as one EVALSHA. KEYS are the keys of all of them; ARGV is their number, then the
 * arguments of all. The reply is a list, an answer for each call, in their order. Keys come before other words.
 */
void redis_batch(struct redis_command *c, const struct redis_script *s);
void redis_put(struct redis_command *c, struct str word);
/* A key as the next word; all keys of a command are in one slot. */
void redis_put_key(struct redis_command *c, struct str key);
void redis_put_int(struct redis_command *c, int64_t value);
void redis_put_text(struct redis_command *c, const char *word);

/*
 * "BEFORE@RUN", where RUN is filled in when the command is sent: it tells which life of which server executes it
 * (8 characters of its run_id, 8 of its master_replid, from INFO; zeros when the server does not tell). At most one in
 * a command. BEFORE has up to 32 characters.
 */
enum { REDIS_INCARNATION = 16, REDIS_INCARNATION_BEFORE = 32 };
void redis_put_incarnation(struct redis_command *c, struct str before);

struct redis;

/*
 * Connects in the background, reconnects by itself (after 50 to 250 ms), sends AUTH
 * and loads nothing: a script that the server does not know is loaded when it
 * says so, and sent again. Keeps pointers to loop and conf.
 */
struct redis *redis_new(struct loop *loop, const struct conf *conf, const char **problem); /* NULL: bad setting */
void redis_free(struct redis *r); /* outstanding commands end as REDIS_UNKNOWN */

bool redis_is_up(const struct redis *r);

/*
 * Why there is no connection, "SERVER: REASON", valid until the next call; NULL when there is one. refused: the server
 * is there, and does not let us in (WRONGPASS, NOAUTH, too many clients, ...).
 */
const char *redis_problem(const struct redis *r, bool *refused);

/*
 * Grows whenever a server came up, or is found in another life, or serves other slots of a cluster than before. As long
 * as it stands, no slot has come into doubt that was not before.
 */
unsigned redis_changes(const struct redis *r);
int64_t redis_changed_ms(const struct redis *r); /* when it grew last, by clock_mono_ms */

/* Turns the loop until there is a connection, or none is on its way; at most redis_timeout_ms. For a start. */
void redis_wait_up(struct redis *r);

/* The life (as in a fence) of the server that has a key now; zeros while none is connected. */
const char *redis_incarnation(const struct redis *r, struct str key);

/* Whether there is a connection to the server that has a key now. */
bool redis_reaches(const struct redis *r, struct str key);

/* Whether one server holds all keys, so that those of different slots may be in one command. */
bool redis_is_single(const struct redis *r);

/* How many servers hold our keys: 1, or the masters of a cluster; 0 while its map is not known. */
int redis_servers(const struct redis *r);

/*
 * Reads the map of a cluster anew, and from now on connects to replicas, too: as a command's `server` they stand behind
 * the masters. Blocks until all that were named are connected or away, at most redis_timeout_ms. Only for a Redis on a
 * loop of its own.
 */
void redis_survey(struct redis *r);
int redis_replicas(const struct redis *r);                        /* 0 before a survey */
int redis_replicas_of(const struct redis *r, int server);         /* of a master, as the map of a cluster has it */
const char *redis_server_name(const struct redis *r, int server); /* its address, until the loop turns; "": none */

/*
 * How many replicas have a claim when it is acknowledged, on every master: the setting wait_replicas, or what auto
 * comes to (1 where the map of the cluster names a replica for each master, else 0).
 */
int redis_wait_replicas(const struct redis *r);

/*
 * Inside the callback of a write: done is told REDIS_ANSWER once as many replicas as wait_replicas demands of this
 * server have in memory what was written through this connection, REDIS_UNKNOWN when they have not within wait_ms. At
 * once where none is demanded. All that ask in one turn of the loop share one WAIT.
 */
void redis_confirm(struct redis *r, redis_done *done, void *context);
bool redis_confirms(const struct redis *r); /* one server, at least, may demand some */

/* Queues a command. The callback may run before this returns (REDIS_REFUSED when there is no connection). */
void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context);

/*
 * Sends, turns the loop until this command's end, and keeps the reply in the
 * arena. Waits for a connection that is being made, at most redis_timeout_ms;
 * without a server it is REDIS_REFUSED at once. A server that was away a
 * quarter of a second ago, and still is, makes nobody wait again.
 * Only for a Redis on a loop of its own.
 */
enum redis_outcome redis_call(struct redis *r, struct arena *a, const struct redis_command *c,
			      const struct redis_reply **reply);

/* Turns the loop until every command sent has ended: a pipeline of redis_send, waited for. */
void redis_wait_all(struct redis *r);

/* Writes what was sent, as far as the sockets take it, so that the servers are at it before redis_wait_all is called.
 */
void redis_push(struct redis *r);

/* How often commands of each kind were sent: scripts, others, reconnects. */
struct redis_counts {
	uint64_t scripts, commands, reconnects;
};
struct redis_counts redis_counts(const struct redis *r);

#endif
