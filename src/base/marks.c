/* Open addressing with linear probes; a slot's key is set once, by compare-and-swap, and never taken back. */
#include "base/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 1 << 18, PROBES = 64 };

struct slot {
	_Atomic uint64_t key;
	mark value;
};

struct marks {
	struct slot *slots;
};

enum { SIZE = SLOTS * sizeof(struct slot) };

static struct slot *map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	struct stat st;
	if (fd < 0)
		return NULL;
	bool sized = fstat(fd, &st) == 0 && (st.st_size == SIZE || ftruncate(fd, SIZE) == 0);
	void *at = sized ? mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

struct marks *marks_open(const char *path, const char **problem)
{
	struct marks *m = malloc(sizeof *m);
	if (!m)
		abort();
	m->slots = map(path);
	*problem = m->slots ? NULL : strerror(errno);
	if (!m->slots)
		m->slots = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->slots == MAP_FAILED)
		abort();
	return m;
}

void marks_close(struct marks *m)
{
	if (!m)
		return;
	munmap(m->slots, SIZE);
	free(m);
}

mark *marks_find(struct marks *m, uint64_t key)
{
	for (uint64_t i = 0; m && i < PROBES; i++) {
		struct slot *s = &m->slots[(key + i) % SLOTS];
		uint64_t there = 0;
		if (atomic_compare_exchange_strong(&s->key, &there, key) || there == key)
			return &s->value;
	}
	return NULL;
}

int64_t mark_read(const mark *at)
{
	return at ? atomic_load_explicit(at, memory_order_relaxed) : 0;
}

void mark_raise(mark *at, int64_t value)
{
	int64_t there = mark_read(at);
	while (at && there < value && !atomic_compare_exchange_weak(at, &there, value))
		;
}
