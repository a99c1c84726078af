/*
 * Includes hiredis, and checks what a server sends. hiredis asserts that every reply belongs to a command, and
 * allocates arrays of any length that a server names. With either, a server could end the process. Therefore each reply
 * is checked before hiredis's functions create it; a reply that fails the check ends the connection.
 */
#ifndef RESP_PROTOCOL_H
#define RESP_PROTOCOL_H

#include <stdbool.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

/* The state of the check, one for each connection; must live as long as the connection. */
struct protocol_guard {
	const redisAsyncContext *connection;
	const char *violation; /* NULL, or how a reply broke the protocol */
};

/* Installs the check. */
void protocol_guard(struct protocol_guard *g, redisAsyncContext *connection);

#endif
