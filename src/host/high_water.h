/*
 * High-water marks shared by all processes of one host, in a mapped file: the
 * highest value that any of them has seen of something that must only grow.
 * They are evidence: after a crash elsewhere they tell what was there before.
 * A fixed table of HIGH_WATER_MAX places; atomics only.
 */
#ifndef HOST_HIGH_WATER_H
#define HOST_HIGH_WATER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HIGH_WATER_MAX = 1 << 18 };

struct high_water;

/*
 * Maps the file, which high_water_open makes when it is missing and high_water_join does not. Never NULL: when it
 * cannot be used, *problem says why (else it is NULL), and the marks are this process's own. Marks of an earlier
 * version are replaced by new ones, any other file is left alone. The path must outlive them.
 */
struct high_water *high_water_open(const char *path, const char **problem);
struct high_water *high_water_join(const char *path, const char **problem);

/* NULL: the file is in use. Else why it is not, or not any more. One stat(2). */
const char *high_water_problem(const struct high_water *m);

void high_water_close(struct high_water *m);

/* Keys are HIGH_WATER_KEY_MIN or more, values 1 to NUMBER_MAX. Everywhere m may be NULL: there are no marks then. */
enum { HIGH_WATER_KEY_MIN = 3 };

/* The value of a key; 0 when there is none. Takes no place. */
int64_t high_water_read(const struct high_water *m, uint64_t key);

/* Raises it to the value, and takes a place when it has none; never lowers it. False: all places for this key are
 * taken. */
bool high_water_raise(struct high_water *m, uint64_t key, int64_t value);

/* The same; *before: what it was, 0 when there was none. */
bool high_water_replace(struct high_water *m, uint64_t key, int64_t value, int64_t *before);

/* Gives the place back, unless its value is higher than this one. */
void high_water_drop(struct high_water *m, uint64_t key, int64_t highest);

/* How many places are taken: reads the whole table, 4 MB. */
int high_water_count(const struct high_water *m);

/*
 * One mark after the other, from *at (0 at first) on, which it moves on; false when there are no more. Those that come
 * and go meanwhile may be missed.
 */
bool high_water_next(const struct high_water *m, size_t *at, uint64_t *key, int64_t *value);

#endif
