/*
 * The inside of store/redis: a link is one connection to one server, a call
 * is one command on its way. redis.c owns calls, redis_link.c connections,
 * redis_route.c decides which connection a call takes, redis_batch.c makes
 * one command of many calls, redis_guard.c checks what a server sends.
 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "redis/redis.h"

enum { SLOTS = 16384, ADDRESS = 256 };

struct call {
	struct redis *redis;
	struct link *link; /* where it is in flight */
	struct call *next;
	redis_done *done;
	void *context;
	const struct redis_script *script;
	int slot, server; /* -1, or where it must go: the slot of its key in a cluster; the command's server */
	size_t run;       /* where in text a run id belongs, or 0 */
	int redirects;
	bool reloaded;
	bool alone; /* goes into no batch with others any more */
	bool batch; /* text is words alone: so many of keys, which end there, and of arguments */
	int keys, arguments;
	size_t keys_end;
	struct call *mate; /* the next one of its batch */
	int64_t began_ms, sent_ms;
	char *text; /* kept until the end: it may have to be sent again; `room` when it fits */
	size_t length;
	char room[384];
};

struct link {
	struct redis *redis;
	struct link *next;
	char address[ADDRESS]; /* "unix:PATH" or "HOST:PORT" */
	bool kept;             /* the settings name it: it stays when no slot does */
	bool closing;
	int64_t named_ms; /* when a slot was last its own, the map named it as a replica, or a redirection led here */
	redisAsyncContext *ac;
	struct loop_io io;
	struct loop_io lookup; /* of the host's name, while its fn is set */
	struct loop_hook flush;
	struct loop_timer retry, watch;
	bool up; /* connected, and it told its run id */
	bool connecting, wants_write, watches_writes;
	bool was_late;         /* when it was looked at last */
	bool served;           /* it was up since it was dialed */
	bool refused;          /* problem is what the server said */
	bool learning;         /* it was asked for its life, at learned_ms, and has not answered */
	char problem[512];     /* why it is not up; empty when it is */
	const char *violation; /* NULL, or how its last reply broke the protocol */
	char run[REDIS_INCARNATION + 1], told[REDIS_INCARNATION];
	int retry_ms;
	int64_t dialed_ms, learned_ms;
	int64_t away_ms;    /* since when every try to connect has failed; 0: it is up, or nothing has failed yet */
	int64_t failed_ms;  /* when the last one did */
	int64_t unready_ms; /* since when the server executes nothing (LOADING, CLUSTERDOWN); 0: it does */
	int replicas;       /* that the cluster's map names for this master; -1: it was not read since we know of it */
	bool replica;       /* the map names it as one */
	struct call *first, **last;             /* in flight, oldest first; of a batch, its first call */
	struct call *gathered, **gathered_last; /* the batch that leaves next */
	int gathering;
	struct confirm *confirms; /* what waits for the next WAIT */
};

struct redis {
	struct loop *loop;
	const struct conf *conf;
	struct link *links;
	bool cluster, closing;
	bool sharded; /* the server is a node of a cluster, whatever the setting says: a command has keys of one slot */
	struct link *slots[SLOTS];          /* cluster: who serves what; NULL: nobody known */
	struct link *answering;             /* whose reply is being told */
	bool mapped, refreshing;            /* the map was read; it is about to be read again, soon */
	unsigned maps;                      /* how often it was read */
	bool with_replicas;                 /* connections to replicas are wanted, too */
	struct link *asked;                 /* the last server whose map was asked for */
	struct loop_timer refresh, unpark;  /* unpark: armed while there is reason */
	struct loop_timer tidy;             /* cluster: looks for links that nobody needs any more */
	struct call *parked, **parked_last; /* not executed yet, tried again until their time is over */
	int outstanding;
	struct call *spare; /* for the next calls */
	int spares;
	struct redis_counts counts;
	unsigned changes;
	int64_t changed_ms;
	char *scratch; /* for the text of a batch */
	size_t scratch_size;
	struct arena arena; /* the password */
	const char *password;
};

/*
 * redis_address.c: "HOST:PORT" of a name, an IPv4 or an IPv6 address. Without a host it is the one of `asked`, the
 * address whose server said this (NULL: there must be one). False: it is no address; what is in `address` is undefined.
 */
bool address_put(char address[ADDRESS], struct str host, int64_t port, const char *asked);
bool address_read(char address[ADDRESS], struct str text, const char *asked);
void address_split(const char *address, char host[ADDRESS], int *port); /* of one that was read */

/* redis_guard.c: from now on a reply that breaks the protocol ends the connection, and nothing else. */
void guard_replies(struct link *l);

/* redis_link.c: connects in the background, and again whenever the connection is lost. */
struct link *link_open(struct redis *r, const char *address);
void link_close(struct link *l);         /* calls in flight end as REDIS_UNKNOWN */
bool link_is_idle(const struct link *l); /* nothing is in flight, or about to leave */
/* Queues a call, after ASKING when asking. False: there is no connection, the call is still the caller's. */
bool link_send(struct link *l, struct call *call, bool asking);
/* For redis_batch.c: puts a command on its way whose answer is the call's (and its mates'). False: as above. */
bool link_write(struct link *l, struct call *call, const char *text, size_t n);
void link_load(struct link *l, const struct redis_script *s);
void link_flush(struct link *l);
void link_learn(struct link *l); /* it may be in another life: nothing is sent before it has told */
void link_hurry(struct link *l); /* connects now, when it waits for another try */
/*
 * A server that has been away for a while: a call that must go there is refused at once, and does not make its caller
 * wait for redis_timeout_ms again. Until then calls wait for the connection.
 */
bool link_is_away(const struct link *l);
/* The server says that it executes nothing now. True when it has been saying so for a while. */
bool link_is_unready(struct link *l);

/* redis_batch.c: takes a call for the next batch, perhaps after sending the one before. */
void batch_add(struct link *l, struct call *call);
/* Sends what was gathered. What cannot be sent is routed anew. */
void batch_flush(struct link *l);
/* Hands an answer to each call of a batch; or, when it is no list (an error, the connection's end), the same to all. */
void batch_answered(struct link *l, struct call *first, redisReply *reply);

/* redis_confirm.c: sends the WAIT of this turn. */
void confirm_flush(struct link *l);
/* Replicas that must have what this server acknowledges. */
int confirm_replicas(const struct link *l);

/* redis.c: a link's answer to a call; reply is NULL when the connection was lost. */
void call_answered(struct link *l, struct call *call, redisReply *reply);
void call_end(struct call *call, enum redis_outcome end, const redisReply *reply);

/* redis_route.c */
const char *route_open(struct redis *r); /* NULL, or what is wrong with the setting */
void route_close(struct redis *r);
int route_slot(struct str key);
void route_call(struct redis *r, struct call *call);
void route_link_changed(struct link *l);  /* it is up, or was lost */
void route_refresh_soon(struct redis *r); /* the map may have changed */
bool route_needs(const struct link *l);   /* else it is tried again less and less often */
/* For a caller that waits: connections that were lost are tried at once, and whether one is on its way. */
void route_hurry(struct redis *r);
bool route_is_trying(const struct redis *r);
/* Cures for errors, as redis.c's table wants them. */
bool route_moved(struct link *l, struct call *call, struct str error);
bool route_ask(struct link *l, struct call *call, struct str error);
bool route_again(struct link *l, struct call *call, struct str error);
bool route_unready(struct link *l, struct call *call, struct str error);

#endif
