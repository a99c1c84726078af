/*
 * The address of a host name, without blocking: getaddrinfo has no time limit
 * of its own and may wait for a name server for many seconds.
 */
#ifndef BASE_LOOKUP_H
#define BASE_LOOKUP_H

#include <netinet/in.h>

#include "base/str.h"

struct lookup {
	const char *problem;            /* NULL, or why there is no address: static */
	char address[INET6_ADDRSTRLEN]; /* numeric; IPv4 where the host has both */
};

/* Whether the text is an address already, IPv4 or IPv6. */
bool lookup_is_address(const char *host);

/*
 * Starts a lookup in a thread of its own and returns a descriptor that
 * becomes readable when it has ended; the caller closes it, at any time. -1:
 * no thread or descriptor could be made, errno says why. The host's text is copied.
 */
int lookup_start(const char *host);

/* The result of a lookup whose descriptor is readable. Does not block. */
struct lookup lookup_end(int fd);

#endif
