/*
 * The board: counters in memory shared by all processes of one host (a mapped
 * file). Every process has a row of its own, so counting is one plain add;
 * readers sum the rows (of a gauge they take the highest). A row outlives its process and is taken over by a
 * later one, so sums never go down. Atomics only: a killed process can leave
 * no lock behind.
 */
#ifndef BASE_BOARD_H
#define BASE_BOARD_H

#include <stdint.h>

#include "base/str.h"

enum counter {
#define X(name, labels, help) COUNT_##name,
#include "base/board.def"
#undef X
	COUNTERS
};

struct board;

/*
 * Maps the file and takes a free row. board_open makes the file when it is missing, and replaces one of another layout;
 * board_join does neither. Never NULL: when the file cannot be used, *problem says why (else it is NULL), and the board
 * counts for this process alone. The path must outlive the board.
 */
struct board *board_open(const char *path, const char **problem);
struct board *board_join(const char *path, const char **problem);

/* NULL: the file is in use. Else why it is not, or not any more. One stat(2). */
const char *board_problem(const struct board *b);

void board_close(struct board *b);

void board_add(struct board *b, enum counter c, uint64_t n);
void board_set(struct board *b, enum counter c, uint64_t value); /* for gauges: what this process sees */
/* The sum of the rows; of a gauge, the highest that a living process shows. */
uint64_t board_read(const struct board *b, enum counter c);

/* The engine's price: scripts of every kind, losers' too, for each claim that won; 0 before the first. */
double board_scripts_per_win(const struct board *b);

/* A line of the Prometheus text format knows its metric and labels from the table: "claims_total", "{end=\"won\"}". */
const char *board_name(enum counter c);
const char *board_labels(enum counter c); /* "" or "{...}" */
const char *board_help(enum counter c);

#endif
