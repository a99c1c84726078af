/*
 * Redis servers in the process of the test, on the loop of the code under test, so that src/redis and hiredis run
 * against any bytes that a test makes a server send. Every address leads here: the linker's --wrap replaces hiredis's
 * redisAsyncConnect, and lookup_start, so that no name server is asked.
 */
#ifndef UNIT_PEER_H
#define UNIT_PEER_H

#include "base/buf.h"
#include "base/loop.h"

/*
 * Puts the bytes that the server at an address sends for a command, which is given as its words with blanks between.
 * peer_answer_info answers INFO like a sound node of a cluster, and no other command.
 */
typedef void peer_answer(const char *address, struct str command, struct buf *out);
peer_answer peer_answer_info;

void peer_start(struct loop *loop, peer_answer *answer);
void peer_stop(void);

/* Sends bytes that answer no command, on each connection to the server. */
void peer_send(const char *address, struct str bytes);

/* How often an address was dialled: "127.0.0.1:7000"; NULL: any. And how often a host's name was looked up. */
int peer_dials(const char *address);
int peer_lookups(const char *host);

/* The server at this address is down; NULL: all are up. */
void peer_absent(const char *address);

/* Connections that are open now. */
int peer_connections(void);

/* The result of later lookups; NULL: they do not end. */
extern const char *peer_lookup_address;

#endif
