/*
 * High-water marks shared by all processes of one host, in a mapped file: the
 * highest value that any of them has seen of something that must only grow.
 * They are evidence: after a crash elsewhere they tell what was there before.
 * A fixed table of 262,144 marks; atomics only.
 */
#ifndef BASE_MARKS_H
#define BASE_MARKS_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic int64_t mark;

struct marks;

/*
 * Maps the file, which marks_open makes when it is missing and marks_join does not. Never NULL: when it cannot be used,
 * *problem says why (else it is NULL), and the marks are this process's own. A file of another layout is left alone.
 * The path must outlive them.
 */
struct marks *marks_open(const char *path, const char **problem);
struct marks *marks_join(const char *path, const char **problem);

/* NULL: the file is in use. Else why it is not, or not any more. One stat(2). */
const char *marks_problem(const struct marks *m);

void marks_close(struct marks *m);

/* The mark of a key (not 0), made with value 0 when there is none. NULL: the table is full around that key, or m is
 * NULL. */
mark *marks_find(struct marks *m, uint64_t key);

/* The value, 0 of NULL. */
int64_t mark_read(const mark *at);
/* Raises it to value; never lowers it. NULL is left alone. */
void mark_raise(mark *at, int64_t value);

#endif
