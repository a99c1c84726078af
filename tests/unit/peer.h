/*
 * Redis servers in the test's own process, on the loop of the code under test, so that the real store/redis_*.c and the
 * real hiredis run against whatever a test lets a server say. Whatever address is dialled leads here: the linker's
 * --wrap replaces hiredis's redisAsyncConnect, and lookup_start, which never asks a name server in a test.
 */
#ifndef UNIT_PEER_H
#define UNIT_PEER_H

#include "base/buf.h"
#include "base/loop.h"

/*
 * Puts what the server at an address sends when it got a command, written as its words with blanks between; any bytes.
 * peer_answer_life has an answer to INFO, as a sound server of a cluster gives it, and nothing for other commands.
 */
typedef void peer_answer(const char *address, struct str command, struct buf *out);
peer_answer peer_answer_life;

void peer_start(struct loop *loop, peer_answer *answer);
void peer_stop(void);

/* What a server sends without being asked, on each connection to it. */
void peer_send(const char *address, struct str bytes);

/* How often an address was dialled: "127.0.0.1:7000"; NULL: any. And how often a host's name was looked up. */
int peer_dials(const char *address);
int peer_lookups(const char *host);

/* Nobody listens at this address, or (NULL) all are there. */
void peer_absent(const char *address);

/* Connections that are open now. */
int peer_connections(void);

/* The result of the lookups from now on; NULL: they do not end. */
extern const char *peer_lookup_address;

#endif
