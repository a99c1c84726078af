/*
 * High-water marks shared by all processes of one host, in a mapped file: the
 * highest value that any of them has seen of something that must only grow.
 * They are evidence: after a crash elsewhere they tell what was there before.
 * A fixed table of MARKS_MAX places; atomics only.
 */
#ifndef BASE_MARKS_H
#define BASE_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MARKS_MAX = 1 << 18 };

struct marks;

/*
 * Maps the file, which marks_open makes when it is missing and marks_join does not. Never NULL: when it cannot be used,
 * *problem says why (else it is NULL), and the marks are this process's own. Marks of an earlier version are replaced
 * by new ones, any other file is left alone. The path must outlive them.
 */
struct marks *marks_open(const char *path, const char **problem);
struct marks *marks_join(const char *path, const char **problem);

/* NULL: the file is in use. Else why it is not, or not any more. One stat(2). */
const char *marks_problem(const struct marks *m);

void marks_close(struct marks *m);

/* Keys are MARKS_KEY_MIN or more, values 1 to NUMBER_MAX. Everywhere m may be NULL: there are no marks then. */
enum { MARKS_KEY_MIN = 3 };

/* The value of a key; 0 when there is none. Takes no place. */
int64_t marks_read(const struct marks *m, uint64_t key);

/* Raises it to the value, and takes a place when it has none; never lowers it. False: all places for this key are
 * taken. */
bool marks_raise(struct marks *m, uint64_t key, int64_t value);

/* The same; *before: what it was, 0 when there was none. */
bool marks_replace(struct marks *m, uint64_t key, int64_t value, int64_t *before);

/* Gives the place back, unless its value is higher than this one. */
void marks_drop(struct marks *m, uint64_t key, int64_t highest);

/* How many places are taken: reads the whole table, 4 MB. */
int marks_count(const struct marks *m);

/*
 * One mark after the other, from *at (0 at first) on, which it moves on; false when there are no more. Those that come
 * and go meanwhile may be missed.
 */
bool marks_next(const struct marks *m, size_t *at, uint64_t *key, int64_t *value);

#endif
