/*
 * The stats: counters in memory shared by all processes of one host (a mapped
 * file). Every process has a row of its own, so counting is one plain add;
 * readers sum the rows (of a gauge they take the highest). A row outlives its process and is taken over by a
 * later one, so sums never go down. Atomics only: a killed process can leave
 * no lock behind.
 */
#ifndef HOST_STATS_H
#define HOST_STATS_H

#include <stdint.h>

#include "base/str.h"

enum counter {
#define X(name, labels, help) COUNT_##name,
#include "host/stats.def"
#undef X
	COUNTERS
};

struct stats;

/*
 * Maps the file and takes a free row. stats_open makes the file when it is missing, and replaces one of another layout;
 * stats_join does neither. Never NULL: when the file cannot be used, *problem says why (else it is NULL), and the stats
 * counts for this process alone. The path must outlive the board.
 */
struct stats *stats_open(const char *path, const char **problem);
struct stats *stats_join(const char *path, const char **problem);

/* NULL: the file is in use. Else why it is not, or not any more. One stat(2). */
const char *stats_problem(const struct stats *b);

void stats_close(struct stats *b);

void stats_add(struct stats *b, enum counter c, uint64_t n);
void stats_set(struct stats *b, enum counter c, uint64_t value); /* for gauges: what this process sees */
/* The sum of the rows; of a gauge, the highest that a living process shows. */
uint64_t stats_read(const struct stats *b, enum counter c);

/* The engine's price: scripts of every kind, losers' too, for each claim that won; 0 before the first. */
double stats_scripts_per_win(const struct stats *b);

/* A line of the Prometheus text format knows its metric and labels from the table: "claims_total", "{end=\"won\"}". */
const char *stats_name(enum counter c);
const char *stats_labels(enum counter c); /* "" or "{...}" */
const char *stats_help(enum counter c);

#endif
