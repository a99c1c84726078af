/* Addresses of servers: "unix:PATH", and "HOST:PORT" with a name, an IPv4 or an IPv6 address. */
#ifndef REDIS_ADDRESS_H
#define REDIS_ADDRESS_H

#include <stdint.h>

#include "base/str.h"

enum { ADDRESS = 256 };

/*
 * Writes "HOST:PORT" to `address`. An empty host stands for the host of `asked`, the address of the server that sent
 * the empty host (NULL: an empty host is an error). False: not an address; the text in `address` is then undefined.
 */
bool address_put(char address[ADDRESS], struct str host, int64_t port, const char *asked);
/* Does the same with a text "HOST:PORT" or ":PORT". */
bool address_read(char address[ADDRESS], struct str text, const char *asked);

/* Splits an address that address_put or address_read wrote. */
void address_split(const char *address, char host[ADDRESS], int *port);

#endif
