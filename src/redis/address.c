#include "redis/address.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"

/* The characters of names and of IPv4 and IPv6 addresses only, so that an address is one word in a log line. */
static bool is_host(struct str host)
{
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!letter && !memchr(".-_:", c, 4))
			return false;
	}
	return host.n > 0 && host.n <= 200;
}

static struct str host_of(const char *address)
{
	const char *colon = address ? strrchr(address, ':') : NULL;
	return colon ? (struct str){ address, (size_t)(colon - address) } : STR("");
}

bool address_put(char address[ADDRESS], struct str host, int64_t port, const char *asked)
{
	if (!host.n)
		host = host_of(asked);
	if (!is_host(host) || port < 1 || port > 65535)
		return false;
	snprintf(address, ADDRESS, "%.*s:%d", (int)host.n, host.p, (int)port);
	return true;
}

bool address_read(char address[ADDRESS], struct str text, const char *asked)
{
	const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
	int64_t port;
	if (!colon)
		return false;
	struct str host = { text.p, (size_t)(colon - text.p) };
	return parse_int((struct str){ colon + 1, text.n - host.n - 1 }, 1, 65535, &port) &&
	       address_put(address, host, port, asked);
}

void address_split(const char *address, char host[ADDRESS], int *port)
{
	struct str name = host_of(address);
	snprintf(host, ADDRESS, "%.*s", (int)name.n, name.p);
	*port = atoi(address + name.n + 1);
}
