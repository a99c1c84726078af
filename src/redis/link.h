/*
 * A link: the connection to one server. It connects in the background, and again whenever the connection is lost. It
 * reads the server's incarnation before it sends any call, and again five times a second. At the end of each turn of
 * the loop it writes what was queued. Nothing blocks.
 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "base/loop.h"
#include "host/conf.h"
#include "redis/batch.h"

struct link;

/* Callbacks to the owner of a link. They may call every function of this file except link_close. */
struct link_events {
	/*
	 * The reply to a call; for a batch, called for each of its calls. NULL: the connection was lost. The call
	 * belongs to the owner again.
	 */
	void (*on_reply)(void *owner, struct call *call, const struct redis_reply *reply);
	/*
	 * A call that link_send took could not be written, so it was not executed. The call belongs to the owner again.
	 */
	void (*on_unsent)(void *owner, struct call *call);
	/* The reply to link_ask_map; NULL: the connection was lost. */
	void (*on_map)(void *owner, const struct redis_reply *reply);
	/* The link has come up, or was lost. */
	void (*on_change)(void *owner);
	/* A WAIT reached fewer replicas than demanded: a replica may have left. */
	void (*on_unreplicated)(void *owner);
	/* Whether the owner needs this server; if not, the link tries to connect less and less often. */
	bool (*is_needed)(void *owner);
};

/* What the links of one client share. */
struct link_shared {
	struct loop *loop;
	const struct conf *conf;
	const char *password;
	struct link_events events;
	struct batch_text text;
	bool is_closing; /* the links no longer connect or report */
	/* Written by the links: */
	bool is_sharded;    /* a server is a node of a cluster, even if the setting names a single server */
	unsigned changes;   /* grows when a server comes up, or has another incarnation */
	int64_t changed_ms; /* when it grew last */
};

/* Keeps a pointer to shared; copies the address, which is "unix:PATH" or was written by address_put. */
struct link *link_open(struct link_shared *shared, const char *address, void *owner);
void link_close(struct link *l); /* calls in flight end with a reply of NULL */

/* Queues a call; batches may leave after calls that were queued later. asking: behind an ASKING. False: the link is not
 * up, and the call still belongs to the caller. */
bool link_send(struct link *l, struct call *call, bool asking);
/* Queues a SCRIPT LOAD, ahead of the calls that are sent next. */
void link_load(struct link *l, const struct redis_script *s);
/* Asks for the map of hash slots (CLUSTER SLOTS), which on_map gets. False: the link is not up. */
bool link_ask_map(struct link *l);
/* Calls done once so many replicas have what was written before: REDIS_ANSWER; or REDIS_UNKNOWN after wait_ms. */
void link_replicate(struct link *l, int replicas, redis_done *done, void *context);
/* Writes what was queued, as much as the socket takes, before the turn ends. */
void link_flush(struct link *l);

/* Reads the server's incarnation again, and sends no call before that. */
void link_verify(struct link *l);
/* Connects at once if the link waits for its next try. */
void link_hurry(struct link *l);

const char *link_address(const struct link *l);
/* REDIS_INCARNATION characters; to be used only after the link was up once. */
const char *link_incarnation(const struct link *l);
/* Why the link is not up, "ADDRESS: REASON", or NULL; is_refused: the server answers, and refuses the login. */
const char *link_problem(const struct link *l, bool *is_refused);
bool link_is_up(const struct link *l);
bool link_is_connecting(const struct link *l); /* the name is being looked up, or it connects or logs in */
bool link_has_failed(const struct link *l);    /* not up, and every try to connect since then has failed */
bool link_is_idle(const struct link *l);       /* no call is in flight or queued */
/*
 * True: every try to connect has failed for a quarter of a second. A call to this server is then refused at once, so
 * that its caller does not wait for redis_timeout_ms. Before that, calls wait for the connection.
 */
bool link_is_away(const struct link *l);
/*
 * To be called when the server answers that it executes no commands now (LOADING, CLUSTERDOWN). True: it has answered
 * so for a quarter of a second.
 */
bool link_note_unready(struct link *l);

#endif
