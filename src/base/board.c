/*
 * File layout: a magic word made of the table's size, then ROWS rows of
 * { owner pid, counters }. A row is taken by compare-and-swap from 0 or from
 * a pid that is gone. A board of another layout is replaced, not converted.
 */
#include "base/board.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 256, MAGIC = 0x5ec20000 + COUNTERS };

struct row {
	_Alignas(64) _Atomic int64_t owner;
	_Atomic uint64_t counters[COUNTERS];
};

struct shared {
	_Atomic uint64_t magic;
	struct row rows[ROWS];
};

struct board {
	struct shared *shared;
	struct row *mine;
};

static const struct {
	const char *name, *labels, *help;
} table[COUNTERS] = {
#define X(name, labels, help) { #name, labels, help },
#include "base/board.def"
#undef X
};

/* Rows whose value is a state of now, not a count: a dead process's share must not linger. */
static bool is_gauge(int c)
{
	return c == COUNT_drain_queue_orders || c == COUNT_drain_oldest_ms || c == COUNT_drain_alive ||
	       c == COUNT_drain_denied || c == COUNT_dead_letters_open;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd;
	if (st.st_size != 0 && st.st_size != (off_t)sizeof(struct shared)) {
		close(fd);
		unlink(path); /* whoever maps it keeps the old file */
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	}
	if (fd >= 0 && ftruncate(fd, (off_t)sizeof(struct shared)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static struct shared *map(const char *path)
{
	int fd = open_file(path);
	if (fd < 0)
		return NULL;
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (s == MAP_FAILED)
		return NULL;
	uint64_t empty = 0;
	if (!atomic_compare_exchange_strong(&s->magic, &empty, MAGIC) && empty != MAGIC)
		memset(s->rows, 0, sizeof s->rows), atomic_store(&s->magic, MAGIC);
	return s;
}

static bool is_alive(int64_t owner)
{
	return owner && (kill((pid_t)owner, 0) == 0 || errno != ESRCH);
}

static bool take(struct row *row)
{
	int64_t owner = atomic_load(&row->owner);
	if (is_alive(owner))
		return false;
	if (!atomic_compare_exchange_strong(&row->owner, &owner, getpid()))
		return false;
	for (int c = 0; c < COUNTERS; c++)
		if (is_gauge(c))
			atomic_store(&row->counters[c], 0);
	return true;
}

struct board *board_open(const char *path, const char **problem)
{
	struct board *b = calloc(1, sizeof *b);
	if (!b)
		abort();
	*problem = NULL;
	b->shared = map(path);
	if (!b->shared) {
		*problem = strerror(errno);
		b->shared = mmap(NULL, sizeof *b->shared, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (b->shared == MAP_FAILED)
			abort();
	}
	for (int i = 0; i < ROWS && !b->mine; i++)
		if (take(&b->shared->rows[i]))
			b->mine = &b->shared->rows[i];
	if (!b->mine)
		b->mine = &b->shared->rows[ROWS - 1]; /* shared with its owner: adds are atomic */
	return b;
}

void board_close(struct board *b)
{
	if (!b)
		return;
	for (int c = 0; c < COUNTERS; c++)
		if (is_gauge(c))
			board_set(b, (enum counter)c, 0);
	int64_t me = getpid();
	atomic_compare_exchange_strong(&b->mine->owner, &me, 0);
	munmap(b->shared, sizeof *b->shared);
	free(b);
}

void board_add(struct board *b, enum counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&b->mine->counters[c], n, memory_order_relaxed);
}

void board_set(struct board *b, enum counter c, uint64_t value)
{
	atomic_store_explicit(&b->mine->counters[c], value, memory_order_relaxed);
}

uint64_t board_read(const struct board *b, enum counter c)
{
	uint64_t sum = 0, most = 0;
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &b->shared->rows[i];
		uint64_t value = atomic_load_explicit(&row->counters[c], memory_order_relaxed);
		sum += value;
		if (value > most && is_gauge(c) && is_alive(atomic_load(&row->owner)))
			most = value;
	}
	return is_gauge(c) ? most : sum;
}

double board_scripts_per_win(const struct board *b)
{
	static const enum counter scripts[] = { COUNT_scripts_total__claim, COUNT_scripts_total__exchange,
						COUNT_scripts_total__debit, COUNT_scripts_total__flag,
						COUNT_scripts_total__supply };
	uint64_t sum = 0, won = board_read(b, COUNT_claims_total__won);
	for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
		sum += board_read(b, scripts[i]);
	return won ? (double)sum / (double)won : 0;
}

const char *board_name(enum counter c)
{
	return table[c].name;
}

const char *board_labels(enum counter c)
{
	return table[c].labels;
}

const char *board_help(enum counter c)
{
	return table[c].help;
}
