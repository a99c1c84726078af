/*
 * The file has ROWS rows of { owner pid, counters }. A process takes a row by a compare-and-swap of the owner, which
 * must be 0 or the pid of a process that has ended. A file of another layout is replaced, not converted.
 */
#include "host/stats.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/siphash.h"
#include "host/shared.h"

enum { ROWS = 256 };

struct row {
	_Alignas(64) _Atomic int64_t owner;
	_Atomic uint64_t counters[COUNTERS];
};

struct stats {
	struct shared shared;
	struct row *rows, *mine;
};

static const struct {
	const char *name, *labels, *help;
} table[COUNTERS] = {
#define X(name, labels, help) { #name, labels, help },
#include "host/stats.def"
#undef X
};

struct str stats_metric(enum counter c)
{
	const char *name = table[c].name, *end = strstr(name, "__");
	return (struct str){ name, end ? (size_t)(end - name) : strlen(name) };
}

/* A metric is a counter if its name ends in "_total". The value of a gauge is a state, which ends with its process. */
bool stats_is_gauge(enum counter c)
{
	struct str metric = stats_metric(c);
	return metric.n < 6 || memcmp(metric.p + metric.n - 6, "_total", 6) != 0;
}

/* The magic depends on the names of all counters, so that another list of counters is another layout. */
static struct shared_layout stats_layout(void)
{
	static const uint8_t key[SIPHASH_KEY] = "board";
	uint64_t magic = sizeof(struct row);
	for (int c = 0; c < COUNTERS; c++)
		magic = magic * 31 + siphash(key, table[c].name, strlen(table[c].name));
	return (struct shared_layout){ .size = ROWS * sizeof(struct row), .magic = magic, .is_replaced = true };
}

static bool is_alive(int64_t owner)
{
	return owner && (kill((pid_t)owner, 0) == 0 || errno != ESRCH);
}

static bool row_take(struct row *row)
{
	int64_t owner = atomic_load(&row->owner);
	if (is_alive(owner))
		return false;
	if (!atomic_compare_exchange_strong(&row->owner, &owner, getpid()))
		return false;
	for (int c = 0; c < COUNTERS; c++)
		if (stats_is_gauge((enum counter)c))
			atomic_store(&row->counters[c], 0);
	return true;
}

static struct stats *open_rows(const char *path, enum shared_use use, const char **problem)
{
	struct stats *b = alloc_zeroed(1, sizeof *b);
	struct shared_layout l = stats_layout();
	shared_open(&b->shared, path, &l, use);
	*problem = b->shared.problem;
	b->rows = b->shared.bytes;
	for (int i = 0; i < ROWS && !b->mine; i++)
		if (row_take(&b->rows[i]))
			b->mine = &b->rows[i];
	if (!b->mine)
		b->mine = &b->rows[ROWS - 1]; /* none is free: the last one is shared, because adds are atomic */
	return b;
}

struct stats *stats_open(const char *path, const char **problem)
{
	return open_rows(path, SHARED_MAKE, problem);
}

struct stats *stats_join(const char *path, const char **problem)
{
	return open_rows(path, SHARED_JOIN, problem);
}

const char *stats_problem(const struct stats *b)
{
	return shared_problem(&b->shared);
}

void stats_close(struct stats *b)
{
	if (!b)
		return;
	for (int c = 0; c < COUNTERS; c++)
		if (stats_is_gauge((enum counter)c))
			stats_set(b, (enum counter)c, 0);
	int64_t me = getpid();
	atomic_compare_exchange_strong(&b->mine->owner, &me, 0);
	shared_close(&b->shared);
	free(b);
}

void stats_add(struct stats *b, enum counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&b->mine->counters[c], n, memory_order_relaxed);
}

void stats_set(struct stats *b, enum counter c, uint64_t value)
{
	atomic_store_explicit(&b->mine->counters[c], value, memory_order_relaxed);
}

uint64_t stats_read(const struct stats *b, enum counter c)
{
	bool gauge = stats_is_gauge(c);
	uint64_t sum = 0, most = 0;
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &b->rows[i];
		uint64_t value = atomic_load_explicit(&row->counters[c], memory_order_relaxed);
		sum += value;
		if (gauge && value > most && is_alive(atomic_load(&row->owner)))
			most = value;
	}
	return gauge ? most : sum;
}

const char *stats_name(enum counter c)
{
	return table[c].name;
}

const char *stats_labels(enum counter c)
{
	return table[c].labels;
}

const char *stats_help(enum counter c)
{
	return table[c].help;
}
