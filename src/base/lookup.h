/* Looks up the address of a host name without blocking; getaddrinfo may wait long for a name server. */
#ifndef BASE_LOOKUP_H
#define BASE_LOOKUP_H

#include <netinet/in.h>

#include "base/str.h"

struct lookup {
	const char *problem;            /* NULL, or why the lookup has failed, a constant */
	char address[INET6_ADDRSTRLEN]; /* numeric; IPv4 where the host has both */
};

/* Whether the text is an IPv4 or IPv6 address, not a name. */
bool lookup_is_address(const char *host);

/*
 * Starts a lookup in a thread of its own, which copies the name. Returns a descriptor that becomes readable when the
 * lookup has ended; the caller may close it at any time. -1, with errno: no thread or no descriptor.
 */
int lookup_start(const char *host);

/* The result of a lookup whose descriptor is readable. Does not block. */
struct lookup lookup_end(int fd);

#endif
