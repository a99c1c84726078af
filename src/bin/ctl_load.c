/*
 * load: customers who claim, one token a claim, over kept HTTP/1.1 connections.
 *
 * Closed loop: every connection asks again as soon as it has its answer. Open loop (--rate): claims fall due at fixed
 * moments whether or not earlier ones are answered, and a latency counts from the moment that was due, not from the one
 * when a connection was free: a server that stalls cannot hide the questions that it kept from being asked. A claim
 * that found no connection for a second is given up, and counted as unsent.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/loop.h"
#include "base/parse.h"
#include "bin/load_answer.h"

enum { BUFFER = 8192, PATIENCE_US = 1000000, LAST_WORD_US = 10000000, TURN_MS = 20 };

struct link {
	struct loop_io io;
	struct load *load;
	struct link *next; /* of those that are free */
	bool asking;
	int64_t due_us, sent_us;
	size_t out, out_n, in;
	char request[BUFFER], answer[BUFFER];
};

struct load {
	struct loop *loop;
	struct loop_io timer;
	struct addrinfo *address;
	const char *host, *method, *path, *file;
	FILE *tokens;
	char *line;
	size_t line_size;
	int64_t connections, rate, seconds;
	int64_t began_us, due, asking; /* due: claims that fell due so far */
	struct link *links, *free;
	struct tally tally;
	bool course, over, asking_more;
};

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void hang_up(struct link *k)
{
	if (k->io.fd >= 0) {
		loop_remove(k->load->loop, &k->io);
		close(k->io.fd);
	}
	k->io.fd = -1;
}

static void ask_more(struct load *l);

static void finish(struct link *k, int status, struct str label)
{
	struct load *l = k->load;
	if (!k->asking)
		return;
	int64_t now = now_us();
	l->tally.elapsed_us = now - l->began_us;
	tally_add(&l->tally, status, label, now - k->due_us, now - k->sent_us);
	k->asking = false;
	k->in = 0;
	l->asking--;
	k->next = l->free;
	l->free = k;
	ask_more(l);
}

static void lose(struct link *k)
{
	hang_up(k);
	finish(k, 0, STR("lost"));
}

/* Takes one whole answer; false when it is none that a claim can get. */
static bool take_answer(struct link *k)
{
	struct answer answer;
	if (!answer_read((struct str){ k->answer, k->in }, BUFFER, &answer))
		return false;
	if (answer.status) {
		if (k->in > answer.size || answer.closes)
			hang_up(k);
		finish(k, answer.status, answer.label);
	}
	return true;
}

static bool write_rest(struct link *k)
{
	while (k->out < k->out_n) {
		ssize_t n = send(k->io.fd, k->request + k->out, k->out_n - k->out, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == ENOTCONN || errno == EINTR;
		k->out += (size_t)n;
	}
	return true;
}

static void on_link(struct loop_io *io, uint32_t events)
{
	struct link *k = (struct link *)io;
	if ((events & EPOLLOUT) && !write_rest(k)) {
		lose(k);
		return;
	}
	while (k->io.fd >= 0) {
		ssize_t n = recv(k->io.fd, k->answer + k->in, BUFFER - k->in, 0);
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return;
		k->in += n > 0 ? (size_t)n : 0;
		if (n <= 0 || !k->asking || !take_answer(k)) {
			lose(k);
			return;
		}
	}
}

static bool dial(struct link *k)
{
	struct load *l = k->load;
	int fd = socket(l->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	k->io.fd = fd;
	k->in = 0;
	if (fd < 0)
		return false;
	if (loop_add(l->loop, &k->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) == 0 &&
	    (connect(fd, l->address->ai_addr, l->address->ai_addrlen) == 0 || errno == EINPROGRESS))
		return true;
	hang_up(k);
	return false;
}

/* Asking */

static void ask(struct link *k, int64_t due_us, struct str token)
{
	struct load *l = k->load;
	int n = snprintf(k->request, BUFFER, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %.*s\r\n\r\n",
			 l->method, l->path, l->host, (int)token.n, token.p);
	k->out = 0;
	k->out_n = (size_t)n;
	k->asking = true;
	k->due_us = due_us;
	k->sent_us = now_us();
	l->tally.sent++;
	l->asking++;
	if (n >= BUFFER || (k->io.fd < 0 && !dial(k)) || !write_rest(k))
		lose(k);
}

/* The last field of the next line, valid until the next call. False when all tokens were used. */
static bool next_token(struct load *l, struct str *token)
{
	while (getline(&l->line, &l->line_size, l->tokens) > 0) {
		const char *tab = strrchr(l->line, '\t');
		token->p = tab ? tab + 1 : l->line;
		token->n = strcspn(token->p, "\n");
		if (token->n)
			return true;
	}
	return false;
}

/* When the next claim falls due; INT64_MAX: there is none in the time given. */
static int64_t next_due(const struct load *l, int64_t now)
{
	int64_t due = l->rate ? l->began_us + (int64_t)((double)l->due * 1e6 / (double)l->rate) : now;
	return l->seconds && due >= l->began_us + l->seconds * 1000000 ? INT64_MAX : due;
}

static void wake_at(struct load *l, int64_t us)
{
	struct itimerspec at = { .it_value = { us / 1000000, us % 1000000 * 1000 } };
	timerfd_settime(l->timer.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void give_up_late(struct load *l, int64_t now)
{
	while (l->rate && next_due(l, now) < now - PATIENCE_US) {
		l->due++;
		l->tally.unsent++;
	}
}

/* One claim, if one is due and a link is free. False when there is nothing to do before something happens. */
static bool ask_one(struct load *l)
{
	struct str token;
	int64_t now = now_us();
	give_up_late(l, now);
	int64_t due = next_due(l, now);
	if (due == INT64_MAX)
		l->over = true;
	else if (l->free && due > now)
		wake_at(l, due);
	if (l->over || !l->free || due > now)
		return false;
	l->over = !next_token(l, &token);
	if (l->over)
		return false;
	struct link *k = l->free;
	l->free = k->next;
	l->due++;
	ask(k, due, token);
	return true;
}

/* A link that is lost at once comes back here: only the outermost call goes round. */
static void ask_more(struct load *l)
{
	if (l->asking_more)
		return;
	l->asking_more = true;
	while (!l->over && ask_one(l)) {
	}
	l->asking_more = false;
}

static void on_timer(struct loop_io *io, uint32_t events)
{
	uint64_t times;
	struct load *l = container_of(io, struct load, timer);
	(void)events;
	if (read(io->fd, &times, sizeof times) > 0)
		ask_more(l);
}

static void run(struct load *l)
{
	l->loop = loop_new();
	l->timer =
		(struct loop_io){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), .fn = on_timer };
	loop_add(l->loop, &l->timer, EPOLLIN);
	for (int64_t i = l->connections; i-- > 0; l->free = &l->links[i])
		l->links[i] = (struct link){ .io = { .fd = -1, .fn = on_link }, .load = l, .next = l->free };
	l->began_us = now_us();
	for (ask_more(l); !l->over; ask_more(l))
		loop_turn(l->loop, TURN_MS);
	int64_t patience = now_us() + LAST_WORD_US;
	while (l->asking && now_us() < patience)
		loop_turn(l->loop, TURN_MS);
	for (int64_t i = 0; i < l->connections; i++)
		lose(&l->links[i]);
	close(l->timer.fd);
	loop_free(l->loop);
}

/* Options */

/* A number that was not given keeps its default. */
static bool read_number(const char *option, int64_t most, int64_t *number)
{
	const char *value = ctl_option(option);
	return !value || parse_int(str_of(value), 1, most, number);
}

static bool read_options(struct load *l)
{
	l->connections = 64;
	l->file = ctl_option("tokens");
	l->course = ctl_option("course");
	return l->file && read_number("connections", 60000, &l->connections) &&
	       read_number("rate", 10000000, &l->rate) && read_number("seconds", 86400, &l->seconds);
}

static bool read_coupon(struct load *l, struct arena *a, const char *coupon)
{
	struct buf path;
	const char *slash = strchr(coupon, '/');
	struct str seller = { coupon, slash ? (size_t)(slash - coupon) : 0 };
	if (!slash || !parse_is_name(seller) || !parse_is_name(str_of(slash + 1)))
		return false;
	buf_init(&path, a);
	buf_puts(&path, "/api/users/");
	buf_percent(&path, seller);
	buf_puts(&path, "/coupons/");
	buf_percent(&path, str_of(slash + 1));
	buf_puts(&path, l->course ? "" : "/claims");
	l->path = buf_str(&path).p;
	l->method = l->course ? "PATCH" : "POST";
	return true;
}

/* NULL, or what is wrong. */
static const char *find_server(struct load *l, struct arena *a, const char *url)
{
	static const char scheme[] = "http://";
	if (strncmp(url, scheme, sizeof scheme - 1) != 0)
		return "the URL is http://HOST[:PORT]";
	const char *end = strchrnul(url + sizeof scheme - 1, '/');
	l->host = arena_strndup(a, url + sizeof scheme - 1, (size_t)(end - url) - (sizeof scheme - 1));
	const char *colon = strchr(l->host, ':');
	const char *name = colon ? arena_strndup(a, l->host, (size_t)(colon - l->host)) : l->host;
	const struct addrinfo wish = { .ai_socktype = SOCK_STREAM };
	int problem = getaddrinfo(name, colon ? colon + 1 : "80", &wish, &l->address);
	if (problem)
		return arena_printf(a, "%s: %s", l->host, gai_strerror(problem));
	arena_defer(a, (void (*)(void *))freeaddrinfo, l->address);
	return NULL;
}

int ctl_load(struct ctl *c, int argc, char **argv)
{
	struct load *l = arena_alloc(c->arena, sizeof *l);
	if (argc != 2 || !read_options(l) || !read_coupon(l, c->arena, argv[1]))
		return ctl_usage(c);
	l->tokens = fopen(l->file, "re");
	if (!l->tokens)
		return ctl_fail(c, EXIT_SYSTEM, arena_printf(c->arena, "%s: %s", l->file, strerror(errno)));
	const char *problem = find_server(l, c->arena, argv[0]);
	if (!problem) {
		l->links = arena_alloc(c->arena, (size_t)l->connections * sizeof *l->links);
		run(l);
		tally_put(c, &l->tally);
		if (l->tally.sent && l->tally.latency.count == 0)
			problem = "no answer came";
	}
	free(l->line);
	fclose(l->tokens);
	return problem ? ctl_fail(c, EXIT_UNAVAILABLE, problem) : EXIT_HOLDS;
}
