/*
 * A wall clock that a test sets while the program runs, by LD_PRELOAD: the real one and so many milliseconds as are in
 * the first eight bytes of the file WALL_CLOCK. libfaketime does the same, but not for Redis, whose jemalloc asks for the
 * time before the library can answer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead_ms;

__attribute__((constructor)) static void map(void)
{
	const char *path = getenv("WALL_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead_ms, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		abort();
	close(fd);
	ahead_ms = p;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int result = (int)syscall(SYS_clock_gettime, id, t);
	if (result || !ahead_ms || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return result;
	int64_t ns = t->tv_nsec + *ahead_ms % 1000 * 1000000 + 1000000000;
	t->tv_sec += *ahead_ms / 1000 + ns / 1000000000 - 1;
	t->tv_nsec = ns % 1000000000;
	return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	*t = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
	return 0;
}

time_t time(time_t *t)
{
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
