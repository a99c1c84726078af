/*
 * The thread has its own copy of the name and writes its result to a pipe, so the caller may close the pipe at any
 * time. The thread blocks all signals, including SIGPIPE.
 */
#include "base/lookup.h"
#include "base/alloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct job {
	int fd;
	char host[];
};

bool lookup_is_address(const char *host)
{
	struct in6_addr any;
	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static int resolve(const char *host, int family, struct lookup *found)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *list = NULL;
	int error = getaddrinfo(host, NULL, &hints, &list);
	if (!error)
		error = getnameinfo(list->ai_addr, list->ai_addrlen, found->address, sizeof found->address, NULL, 0,
				    NI_NUMERICHOST);
	if (list)
		freeaddrinfo(list);
	return error;
}

static void *lookup_thread(void *raw)
{
	struct job *job = raw;
	struct lookup found = { 0 };
	int error = resolve(job->host, AF_INET, &found);
	if (error && resolve(job->host, AF_INET6, &found))
		found.problem = gai_strerror(error);
	ssize_t written = write(job->fd, &found, sizeof found); /* below PIPE_BUF: never in part */
	(void)written;
	close(job->fd);
	free(job);
	return NULL;
}

static int start_thread(struct job *job)
{
	pthread_t thread;
	pthread_attr_t detached;
	sigset_t all, before;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&thread, &detached, lookup_thread, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&detached);
	return error;
}

int lookup_start(const char *host)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	size_t size = strlen(host) + 1;
	struct job *job = alloc(sizeof *job + size);
	job->fd = ends[1];
	memcpy(job->host, host, size);
	int error = start_thread(job);
	if (!error)
		return ends[0];
	close(ends[0]);
	close(ends[1]);
	free(job);
	errno = error;
	return -1;
}

struct lookup lookup_end(int fd)
{
	struct lookup found;
	if (read(fd, &found, sizeof found) != sizeof found)
		found = (struct lookup){ .problem = "the lookup failed" };
	return found;
}
