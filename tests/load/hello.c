/*
 * The ceiling of a FastCGI service of this kind: an event loop over libfcgi with kept connections that answers every
 * request with the same six bytes. It does not link libseckill, so that a fault there cannot slow it down. The
 * benchmark runs it like the hot pool, under spawn-fcgi and multiwatch: as many processes, the same backlog.
 */
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 0, EVENTS = 64 }; /* spawn-fcgi passes the socket as descriptor 0 */

static const char answer[] = "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";

static int watch(int epoll, int operation, int fd, uint32_t events, void *what)
{
	struct epoll_event e = { .events = events, .data.ptr = what };
	return epoll_ctl(epoll, operation, fd, &e);
}

/* Moves to the end of the kernel's queue of waiting processes: nginx keeps connections, so all must get their share. */
static void step_back(int epoll)
{
	watch(epoll, EPOLL_CTL_DEL, LISTENER, 0, NULL);
	watch(epoll, EPOLL_CTL_ADD, LISTENER, EPOLLIN | EPOLLEXCLUSIVE, NULL);
}

static void accept_one(int epoll)
{
	int fd = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	FCGX_Request *r = malloc(sizeof *r);
	if (!r || FCGX_InitRequest(r, -1, 0))
		abort();
	r->ipcFd = fd;
	step_back(epoll);
	if (watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, r) < 0)
		abort();
}

static void drop(FCGX_Request *r)
{
	int fd = r->ipcFd;
	FCGX_Free(r, 0);
	if (fd >= 0)
		close(fd);
	free(r);
}

static void serve(FCGX_Request *r, uint32_t events)
{
	r->keepConnection = 1; /* else the next call would close the connection */
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || FCGX_Accept_r(r) < 0) {
		drop(r);
		return;
	}
	FCGX_PutStr(answer, sizeof answer - 1, r->out);
	r->keepConnection = 1;
	FCGX_Finish_r(r);
	if (r->ipcFd < 0)
		drop(r);
}

int main(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || FCGX_Init() || fcntl(LISTENER, F_SETFL, fcntl(LISTENER, F_GETFL) | O_NONBLOCK) < 0)
		return 71;
	signal(SIGTERM, SIG_DFL); /* libfcgi's handler only sets a flag, which is not read here */
	signal(SIGUSR1, SIG_DFL);
	if (watch(epoll, EPOLL_CTL_ADD, LISTENER, EPOLLIN | EPOLLEXCLUSIVE, NULL) < 0)
		return 71;
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(epoll, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			return 71;
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				serve(events[i].data.ptr, events[i].events);
			else
				accept_one(epoll);
	}
}
