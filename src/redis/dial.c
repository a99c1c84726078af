#include "redis/dial.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/lookup.h"

/* host: a path, with port 0, or an IP address. */
static void dial(struct dial *d, const char *host, int port)
{
	redisAsyncContext *ac = port ? redisAsyncConnect(host, port) : redisAsyncConnectUnix(host);
	if (ac && !ac->err) {
		d->done(d, ac, NULL);
		return;
	}
	d->done(d, NULL, ac ? ac->errstr : "out of memory");
	if (ac)
		redisAsyncFree(ac);
}

void dial_stop(struct dial *d)
{
	if (!d->lookup.fn)
		return;
	loop_remove(d->loop, &d->lookup);
	close(d->lookup.fd);
	d->lookup.fn = NULL;
}

static void on_lookup(struct loop_io *io, uint32_t events)
{
	struct dial *d = container_of(io, struct dial, lookup);
	struct lookup found = lookup_end(io->fd);
	char host[ADDRESS];
	int port;
	(void)events;
	dial_stop(d);
	address_split(d->address, host, &port);
	if (found.problem)
		d->done(d, NULL, found.problem);
	else
		dial(d, found.address, port);
}

static void look_up(struct dial *d, const char *host)
{
	int fd = lookup_start(host);
	if (fd < 0) {
		d->done(d, NULL, "the host's name cannot be looked up: no thread");
		return;
	}
	d->lookup = (struct loop_io){ .fd = fd, .fn = on_lookup };
	if (loop_add(d->loop, &d->lookup, EPOLLIN) < 0)
		abort(); /* the kernel has no memory for it */
}

void dial_start(struct dial *d)
{
	char host[ADDRESS];
	int port;
	if (str_starts(str_of(d->address), STR("unix:"))) {
		dial(d, d->address + 5, 0);
		return;
	}
	address_split(d->address, host, &port);
	if (lookup_is_address(host))
		dial(d, host, port);
	else
		look_up(d, host);
}

bool dial_is_waiting(const struct dial *d)
{
	return d->lookup.fn;
}
