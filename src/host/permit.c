/* Locks of open file descriptions: those of a process would end when it closes any descriptor of the file. */
#include "host/permit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "host/conf.h"

struct permits {
	int fd, count;
};

static int half_of_the_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 2 ? 1 : (int)(cores / 2);
}

/* A signal that has a handler ends the wait for a lock. */
static void on_alarm(int signal)
{
	(void)signal;
}

struct permits *permits_open(const char *path, int count)
{
	struct permits *p = alloc_zeroed(1, sizeof *p);
	p->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	p->count = count == CONF_AUTO ? half_of_the_cores() : count;
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	return p;
}

void permits_close(struct permits *p)
{
	if (p && p->fd >= 0)
		close(p->fd);
	free(p);
}

static bool set_lock(const struct permits *p, int how, short type, int first, int count)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = count };
	return fcntl(p->fd, how, &lock) == 0;
}

static bool take_any(const struct permits *p)
{
	for (int i = 0; i < p->count; i++)
		if (set_lock(p, F_OFD_SETLK, F_WRLCK, i, 1))
			return true;
	return false;
}

/*
 * Waits for one of those that are taken, which is enough, because each is returned soon. The timer repeats, because it
 * may end before the wait has begun.
 */
static bool wait_for_one(const struct permits *p, int patience_ms)
{
	const struct itimerval limit = { .it_value = { patience_ms / 1000, patience_ms % 1000 * 1000 },
					 .it_interval = { 0, 100000 } };
	setitimer(ITIMER_REAL, &limit, NULL);
	bool taken = set_lock(p, F_OFD_SETLKW, F_WRLCK, getpid() % p->count, 1);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	return taken;
}

bool permit_take(struct permits *p, int patience_ms)
{
	return p->fd < 0 || take_any(p) || wait_for_one(p, patience_ms);
}

void permit_return(struct permits *p)
{
	set_lock(p, F_OFD_SETLK, F_UNLCK, 0, p->count);
}
