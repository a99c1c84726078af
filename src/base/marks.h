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

/* Maps the file, made when missing. Never NULL: when it cannot be used, *problem says why and the marks are our own. */
struct marks *marks_open(const char *path, const char **problem);
void marks_close(struct marks *m);

/* The mark of a key (not 0), made with value 0 when there is none. NULL: the table is full around that key, or m is
 * NULL. */
mark *marks_find(struct marks *m, uint64_t key);

/* The value, 0 of NULL. */
int64_t mark_read(const mark *at);
/* Raises it to value; never lowers it. NULL is left alone. */
void mark_raise(mark *at, int64_t value);

#endif
