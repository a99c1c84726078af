/*
 * load: claims with each token of a file once, over kept HTTP/1.1 connections, and counts and times the answers.
 *
 * Closed loop: every connection sends the next claim once it has its answer. Open loop (--rate): claims fall due at
 * fixed moments, whether or not earlier ones are answered, and a latency counts from the moment when the claim was due,
 * not from the one when a connection was free. So a server that stalls cannot hide the claims that it delayed
 * (coordinated omission). A claim that found no connection for a second is given up, and counted as unsent.
 */
#include <errno.h>
#include <getopt.h>
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
#include "load/load_answer.h"

enum { BUFFER = 8192, PATIENCE_US = 1000000, LAST_ANSWERS_US = 10000000, TURN_MS = 20 };
enum { EXIT_DONE = 0, EXIT_USAGE = 64, EXIT_UNAVAILABLE = 69, EXIT_SYSTEM = 71 };

struct connection {
	struct loop_io io;
	struct load *load;
	struct connection *next; /* of those that are free */
	bool under_way;
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
	int64_t began_us, due, under_way; /* due: claims that fell due so far */
	struct connection *all, *free;
	struct tally tally;
	bool compat, over, sending;
};

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void hang_up(struct connection *c)
{
	if (c->io.fd >= 0) {
		loop_remove(c->load->loop, &c->io);
		close(c->io.fd);
	}
	c->io.fd = -1;
}

static void send_due(struct load *l);

static void end_claim(struct connection *c, int status, struct str label)
{
	struct load *l = c->load;
	if (!c->under_way)
		return;
	int64_t now = now_us();
	l->tally.elapsed_us = now - l->began_us;
	tally_add(&l->tally, status, label, now - c->due_us, now - c->sent_us);
	c->under_way = false;
	c->in = 0;
	l->under_way--;
	c->next = l->free;
	l->free = c;
	send_due(l);
}

static void end_lost(struct connection *c)
{
	hang_up(c);
	end_claim(c, 0, STR("lost"));
}

/* Takes one complete answer; false when it is not an answer to a claim. */
static bool take_answer(struct connection *c)
{
	struct answer answer;
	if (!answer_read((struct str){ c->answer, c->in }, BUFFER, &answer))
		return false;
	if (answer.status) {
		if (c->in > answer.size || answer.closes)
			hang_up(c);
		end_claim(c, answer.status, answer.label);
	}
	return true;
}

static bool write_rest(struct connection *c)
{
	while (c->out < c->out_n) {
		ssize_t n = send(c->io.fd, c->request + c->out, c->out_n - c->out, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == ENOTCONN || errno == EINTR;
		c->out += (size_t)n;
	}
	return true;
}

static void on_connection(struct loop_io *io, uint32_t events)
{
	struct connection *c = (struct connection *)io;
	if ((events & EPOLLOUT) && !write_rest(c)) {
		end_lost(c);
		return;
	}
	while (c->io.fd >= 0) {
		ssize_t n = recv(c->io.fd, c->answer + c->in, BUFFER - c->in, 0);
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return;
		c->in += n > 0 ? (size_t)n : 0;
		if (n <= 0 || !c->under_way || !take_answer(c)) {
			end_lost(c);
			return;
		}
	}
}

static bool connect_again(struct connection *c)
{
	struct load *l = c->load;
	int fd = socket(l->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->io.fd = fd;
	c->in = 0;
	if (fd < 0)
		return false;
	if (loop_add(l->loop, &c->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) == 0 &&
	    (connect(fd, l->address->ai_addr, l->address->ai_addrlen) == 0 || errno == EINPROGRESS))
		return true;
	hang_up(c);
	return false;
}

/* Claiming */

static void send_claim(struct connection *c, int64_t due_us, struct str token)
{
	struct load *l = c->load;
	int n = snprintf(c->request, BUFFER, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %.*s\r\n\r\n",
			 l->method, l->path, l->host, (int)token.n, token.p);
	c->out = 0;
	c->out_n = (size_t)n;
	c->under_way = true;
	c->due_us = due_us;
	c->sent_us = now_us();
	l->tally.sent++;
	l->under_way++;
	if (n >= BUFFER || (c->io.fd < 0 && !connect_again(c)) || !write_rest(c))
		end_lost(c);
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

/* Sends one claim if one is due and a connection is free; false when neither is before the next event. */
static bool send_one(struct load *l)
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
	struct connection *c = l->free;
	l->free = c->next;
	l->due++;
	send_claim(c, due, token);
	return true;
}

/* A claim that fails at once calls this again: only the outermost call loops. */
static void send_due(struct load *l)
{
	if (l->sending)
		return;
	l->sending = true;
	while (!l->over && send_one(l)) {
	}
	l->sending = false;
}

static void on_timer(struct loop_io *io, uint32_t events)
{
	uint64_t times;
	struct load *l = container_of(io, struct load, timer);
	(void)events;
	if (read(io->fd, &times, sizeof times) > 0)
		send_due(l);
}

static void run(struct load *l)
{
	l->loop = loop_new();
	l->timer =
		(struct loop_io){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), .fn = on_timer };
	loop_add(l->loop, &l->timer, EPOLLIN);
	for (int64_t i = l->connections; i-- > 0; l->free = &l->all[i])
		l->all[i] = (struct connection){ .io = { .fd = -1, .fn = on_connection }, .load = l, .next = l->free };
	l->began_us = now_us();
	for (send_due(l); !l->over; send_due(l))
		loop_turn(l->loop, TURN_MS);
	int64_t patience = now_us() + LAST_ANSWERS_US;
	while (l->under_way && now_us() < patience)
		loop_turn(l->loop, TURN_MS);
	for (int64_t i = 0; i < l->connections; i++)
		end_lost(&l->all[i]);
	close(l->timer.fd);
	loop_free(l->loop);
}

/* Options */

static bool read_option(struct load *l, int flag, const char *value)
{
	static const struct {
		int flag;
		int64_t most;
	} numbers[] = { { 'n', 60000 }, { 'r', 10000000 }, { 's', 86400 } };
	int64_t *const to[] = { &l->connections, &l->rate, &l->seconds };
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (flag == numbers[i].flag)
			return parse_int(str_of(value), 1, numbers[i].most, to[i]);
	if (flag == 't')
		l->file = value;
	else if (flag == 'p')
		l->compat = true;
	return flag == 't' || flag == 'p';
}

static bool read_options(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "tokens", required_argument, NULL, 't' }, { "connections", required_argument, NULL, 'n' },
		{ "rate", required_argument, NULL, 'r' },   { "seconds", required_argument, NULL, 's' },
		{ "compat", no_argument, NULL, 'p' },       { 0 }
	};
	int flag;
	l->connections = 64;
	while ((flag = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!read_option(l, flag, optarg))
			return false;
	return l->file && argc - optind == 2;
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
	buf_puts(&path, l->compat ? "" : "/claims");
	l->path = buf_str(&path).p;
	l->method = l->compat ? "PATCH" : "POST";
	return true;
}

/* NULL, or what is wrong. */
static const char *find_server(struct load *l, struct arena *a, const char *url)
{
	static const char scheme[] = "http://";
	if (strncmp(url, scheme, sizeof scheme - 1) != 0)
		return "the URL must be http://HOST[:PORT]";
	const char *end = strchrnul(url + sizeof scheme - 1, '/');
	l->host = arena_strndup(a, url + sizeof scheme - 1, (size_t)(end - url) - (sizeof scheme - 1));
	const char *colon = strchr(l->host, ':');
	const char *name = colon ? arena_strndup(a, l->host, (size_t)(colon - l->host)) : l->host;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int problem = getaddrinfo(name, colon ? colon + 1 : "80", &hints, &l->address);
	if (problem)
		return arena_printf(a, "%s: %s", l->host, gai_strerror(problem));
	arena_defer(a, (void (*)(void *))freeaddrinfo, l->address);
	return NULL;
}

static int fail(int code, const char *problem)
{
	fprintf(stderr, "load: %s\n", problem);
	return code;
}

static void print_report(struct arena *a, const struct tally *t)
{
	struct buf out;
	buf_init(&out, a);
	tally_put(&out, t);
	puts(buf_str(&out).p);
}

int main(int argc, char **argv)
{
	static struct load l;
	static struct arena a;
	if (!read_options(&l, argc, argv) || !read_coupon(&l, &a, argv[optind + 1]))
		return fail(EXIT_USAGE, "usage: load URL SELLER/COUPON --tokens FILE [--connections N] [--rate R] "
					"[--seconds S] [--compat]");
	l.tokens = fopen(l.file, "re");
	if (!l.tokens)
		return fail(EXIT_SYSTEM, arena_printf(&a, "%s: %s", l.file, strerror(errno)));
	const char *problem = find_server(&l, &a, argv[optind]);
	if (!problem) {
		l.all = arena_alloc(&a, (size_t)l.connections * sizeof *l.all);
		run(&l);
		print_report(&a, &l.tally);
		if (l.tally.sent && l.tally.latency.count == 0)
			problem = "no answer came";
	}
	free(l.line);
	fclose(l.tokens);
	int code = problem ? fail(EXIT_UNAVAILABLE, problem) : EXIT_DONE;
	arena_release(&a);
	return code;
}
