#include "unit/peer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/lookup.h"

enum { ADDRESS = 256, DIALS = 4096, INPUT_MAX = 1 << 16 };

struct connection {
	struct loop_io io; /* first: of() */
	struct connection *next;
	char address[ADDRESS];
	size_t n;
	char input[INPUT_MAX];
};

static struct loop *loop;
static peer_answer *answer;
static struct loop_io listener;
static char path[64], absent[ADDRESS];
static struct connection *connections;
static char dialled[DIALS][ADDRESS]; /* the last ones */
static char pending[DIALS][ADDRESS]; /* connected, from `accepted` on not accepted yet: that comes in their order */
static int dials, connects, accepted, lookups;
static char looked_up[ADDRESS];
const char *peer_lookup_address;

static bool starts(struct str text, const char *with)
{
	return text.n >= strlen(with) && memcmp(text.p, with, strlen(with)) == 0;
}

void peer_answer_info(const char *address, struct str command, struct buf *out)
{
	static const char text[] = "redis_mode:cluster\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n"
				   "master_replid:89abcdef0123456789abcdef0123456789abcdef\r\n";
	(void)address;
	if (starts(command, "INFO"))
		buf_printf(out, "$%d\r\n# \r\n%s\r\n", (int)sizeof text - 1 + 4, text);
}

/* Connections */

static void hang_up(struct connection *c)
{
	struct connection **at = &connections;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	loop_remove(loop, &c->io);
	close(c->io.fd);
	free(c);
}

/* The next number of "$12\r\n", or -1 when it is incomplete. */
static long number_at(const struct connection *c, size_t *at, char kind)
{
	const char *end = memchr(c->input + *at, '\n', c->n - *at);
	if (!end)
		return -1;
	assert(c->input[*at] == kind);
	long value = strtol(c->input + *at + 1, NULL, 10);
	*at = (size_t)(end + 1 - c->input);
	return value;
}

/* Takes a command out of the input, as words; false when it is incomplete. */
static bool take_command(struct connection *c, struct buf *words)
{
	size_t at = 0;
	long count = c->n ? number_at(c, &at, '*') : -1;
	for (long i = 0; i < count; i++) {
		long n = at < c->n ? number_at(c, &at, '$') : -1;
		if (n < 0 || c->n - at < (size_t)n + 2)
			return false;
		buf_puts(words, i ? " " : "");
		buf_put(words, (struct str){ c->input + at, (size_t)n });
		at += (size_t)n + 2;
	}
	if (count < 0)
		return false;
	memmove(c->input, c->input + at, c->n - at);
	c->n -= at;
	return true;
}

/* In one piece: the socket's buffer is larger than what a test sends. */
static void put(int fd, struct str bytes)
{
	ssize_t sent = bytes.n ? send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	(void)sent;
}

static void serve(struct connection *c)
{
	struct arena a = { 0 };
	struct buf words, out;
	for (buf_init(&words, &a); take_command(c, &words); buf_init(&words, &a)) {
		buf_init(&out, &a);
		answer(c->address, buf_str(&words), &out);
		put(c->io.fd, buf_str(&out));
	}
	arena_release(&a);
}

static void on_readable(struct loop_io *io, uint32_t events)
{
	struct connection *c = (struct connection *)io;
	(void)events;
	ssize_t n = recv(io->fd, c->input + c->n, INPUT_MAX - c->n, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(c);
		return;
	}
	c->n += (size_t)n;
	serve(c);
}

static void on_connection(struct loop_io *io, uint32_t events)
{
	(void)events;
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct connection *c = calloc(1, sizeof *c);
	assert(c);
	c->io = (struct loop_io){ .fd = fd, .fn = on_readable };
	snprintf(c->address, sizeof c->address, "%s", pending[accepted++ % DIALS]);
	c->next = connections;
	connections = c;
	int failed = loop_add(loop, &c->io, EPOLLIN);
	assert(!failed);
}

void peer_start(struct loop *on, peer_answer *with)
{
	static int number;
	struct sockaddr_un where = { .sun_family = AF_UNIX };
	loop = on;
	answer = with;
	dials = connects = accepted = lookups = 0;
	peer_lookup_address = NULL;
	absent[0] = looked_up[0] = '\0';
	snprintf(path, sizeof path, "/tmp/seckill-peer-%d-%d", (int)getpid(), number++);
	memcpy(where.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	listener = (struct loop_io){ .fd = fd, .fn = on_connection };
	int failed = fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof where) || listen(fd, 64) ||
		     loop_add(loop, &listener, EPOLLIN);
	assert(!failed);
}

void peer_stop(void)
{
	while (connections)
		hang_up(connections);
	loop_remove(loop, &listener);
	close(listener.fd);
	unlink(path);
}

void peer_send(const char *address, struct str bytes)
{
	for (struct connection *c = connections; c; c = c->next)
		if (strcmp(c->address, address) == 0)
			put(c->io.fd, bytes);
}

void peer_absent(const char *address)
{
	snprintf(absent, sizeof absent, "%s", address ? address : "");
}

int peer_dials(const char *address)
{
	int count = 0;
	for (int i = 0; i < dials && i < DIALS; i++)
		count += !address || strcmp(dialled[i], address) == 0;
	return count;
}

int peer_lookups(const char *host)
{
	return strcmp(looked_up, host) == 0 ? lookups : 0;
}

int peer_connections(void)
{
	int count = 0;
	for (const struct connection *c = connections; c; c = c->next)
		count++;
	return count;
}

/* The linker calls these instead of the functions of hiredis and base/lookup.c. */

redisAsyncContext *__wrap_redisAsyncConnect(const char *host, int port);
int __wrap_lookup_start(const char *host);

redisAsyncContext *__wrap_redisAsyncConnect(const char *host, int port)
{
	char *at = dialled[dials++ % DIALS];
	snprintf(at, ADDRESS, "%.200s:%d", host, port);
	if (strcmp(at, absent) == 0)
		return redisAsyncConnectUnix("/nonexistent/peer");
	memcpy(pending[connects++ % DIALS], at, ADDRESS);
	return redisAsyncConnectUnix(path);
}

/* A pipe that has the answer, or never will: its other end stays open. */
int __wrap_lookup_start(const char *host)
{
	struct lookup found = { 0 };
	int ends[2], failed = pipe2(ends, O_CLOEXEC);
	assert(!failed);
	snprintf(looked_up, sizeof looked_up, "%s", host);
	lookups++;
	if (!peer_lookup_address)
		return ends[0];
	snprintf(found.address, sizeof found.address, "%s", peer_lookup_address);
	ssize_t n = write(ends[1], &found, sizeof found);
	assert(n == sizeof found);
	close(ends[1]);
	return ends[0];
}
