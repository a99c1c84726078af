/*
 * The file holds ROWS rows of { owner pid, counters }. A row is taken by compare-and-swap from 0 or from a pid that is
 * gone. A stats of another layout is replaced, not converted.
 */
#include "host/stats.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

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

/* Rows whose value is a state of now, not a count: a dead process's share must not linger. */
static bool is_gauge(int c)
{
	return c == COUNT_drain_queue_orders || c == COUNT_drain_oldest_ms || c == COUNT_drain_alive ||
	       c == COUNT_drain_denied || c == COUNT_dead_letters_open || c == COUNT_private_memory__board ||
	       c == COUNT_private_memory__marks;
}

/* Another list of counters is another layout. */
static struct shared_layout layout(void)
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

static struct stats *open_rows(const char *path, enum shared_use use, const char **problem)
{
	struct stats *b = calloc(1, sizeof *b);
	struct shared_layout l = layout();
	if (!b)
		abort();
	shared_open(&b->shared, path, &l, use);
	*problem = b->shared.problem;
	b->rows = b->shared.bytes;
	for (int i = 0; i < ROWS && !b->mine; i++)
		if (take(&b->rows[i]))
			b->mine = &b->rows[i];
	if (!b->mine)
		b->mine = &b->rows[ROWS - 1]; /* shared with its owner: adds are atomic */
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
		if (is_gauge(c))
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
	uint64_t sum = 0, most = 0;
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &b->rows[i];
		uint64_t value = atomic_load_explicit(&row->counters[c], memory_order_relaxed);
		sum += value;
		if (value > most && is_gauge(c) && is_alive(atomic_load(&row->owner)))
			most = value;
	}
	return is_gauge(c) ? most : sum;
}

double stats_scripts_per_win(const struct stats *b)
{
	static const enum counter scripts[] = { COUNT_scripts_total__claim, COUNT_scripts_total__exchange,
						COUNT_scripts_total__debit, COUNT_scripts_total__flag,
						COUNT_scripts_total__supply };
	uint64_t sum = 0, won = stats_read(b, COUNT_claims_total__won);
	for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
		sum += stats_read(b, scripts[i]);
	return won ? (double)sum / (double)won : 0;
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
