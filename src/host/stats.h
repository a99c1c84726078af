/*
 * The stats: counters in memory that all processes of one host share, a mapped file (the setting `board`). Every
 * process has a row of its own, so counting is one atomic add, and a killed process leaves no lock behind. The value of
 * a counter is the sum of the rows; the value of a gauge is the highest of the rows. A row is kept when its process
 * ends, and is taken over by a later process, so sums never go down.
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
 * Maps the file and takes a free row. stats_open makes a missing file, and replaces a file of another layout;
 * stats_join does neither. Never returns NULL: when the file cannot be used, *problem says why, and this process counts
 * in memory of its own; otherwise *problem is NULL. The path must outlive the stats.
 */
struct stats *stats_open(const char *path, const char **problem);
struct stats *stats_join(const char *path, const char **problem);

/* NULL: the file is in use. Otherwise the reason why it was not used, or is not any more. One stat(2). */
const char *stats_problem(const struct stats *b);

void stats_close(struct stats *b);

void stats_add(struct stats *b, enum counter c, uint64_t n);
void stats_set(struct stats *b, enum counter c, uint64_t value); /* sets this process's value of a gauge */
/* The sum of the rows; for a gauge, the highest value of a living process. */
uint64_t stats_read(const struct stats *b, enum counter c);

/*
 * For the Prometheus text format, "claims_total__won" is a row of the metric "claims_total" with the labels
 * "{end=\"won\"}".
 */
const char *stats_name(enum counter c);
struct str stats_metric(enum counter c); /* the name up to "__" */
bool stats_is_gauge(enum counter c);
const char *stats_labels(enum counter c); /* "" or "{...}" */
const char *stats_help(enum counter c);

#endif
