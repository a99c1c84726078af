/*
 * The high-water table: for each key the highest value that any process of this host has seen, in a mapped file (the
 * setting `marks`). It is evidence: after a server has lost data, the table still has values from before the loss. It
 * has HIGH_WATER_MAX places, and uses only atomics, so a killed process leaves no lock behind.
 */
#ifndef HOST_HIGH_WATER_H
#define HOST_HIGH_WATER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HIGH_WATER_MAX = 1 << 18 };

struct high_water;

/*
 * Maps the file. high_water_open makes a missing file; high_water_join does not. Never returns NULL: when the file
 * cannot be used, *problem says why, and the table is private to this process; otherwise *problem is NULL. A table of
 * an earlier version is replaced by an empty one; any other file is not changed. The path must outlive the table.
 */
struct high_water *high_water_open(const char *path, const char **problem);
struct high_water *high_water_join(const char *path, const char **problem);

/* NULL: the file is in use. Otherwise the reason why it was not used, or is not any more. One stat(2). */
const char *high_water_problem(const struct high_water *m);

void high_water_close(struct high_water *m);

/*
 * Keys are HIGH_WATER_KEY_MIN or more, values 1 to NUMBER_MAX. The functions that follow accept NULL as an empty table.
 */
enum { HIGH_WATER_KEY_MIN = 3 };

/* The value of a key; 0: it is not in the table. */
int64_t high_water_read(const struct high_water *m, uint64_t key);

/* Enters the key or raises its value; never lowers the value. False: all places for this key are taken. */
bool high_water_raise(struct high_water *m, uint64_t key, int64_t value);

/* As high_water_raise; *before becomes the value that the key had, or 0. */
bool high_water_replace(struct high_water *m, uint64_t key, int64_t value, int64_t *before);

/* Removes the key, unless its value is above `highest`. */
void high_water_drop(struct high_water *m, uint64_t key, int64_t highest);

/* How many places are taken. Reads the whole table, 4 MB. */
int high_water_count(const struct high_water *m);

/*
 * Iterates over the table. *at is 0 at first, and is moved by each call. Sets the next key and value; false at the end.
 * Keys that are entered or removed meanwhile may be missed.
 */
bool high_water_next(const struct high_water *m, size_t *at, uint64_t *key, int64_t *value);

#endif
