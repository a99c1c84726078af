/* A hash table of the caller's objects, chained through a node inside each. Grows by itself; owns only its buckets. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_node {
	struct table_node *next;
	uint64_t hash;
};

struct table {
	struct table_node **buckets;
	size_t size, count; /* size is 0 or a power of two */
};

void table_put(struct table *t, struct table_node *n, uint64_t hash);

/* The first node of this hash, or the next one after n; NULL at the end. The caller compares keys. */
struct table_node *table_find(const struct table *t, uint64_t hash);
struct table_node *table_next(const struct table_node *n);

void table_remove(struct table *t, struct table_node *n);

/* Hands every node to fn, which may free it, and leaves the table empty. */
void table_clear(struct table *t, void (*fn)(struct table_node *n));

/* Removes the nodes for which drop says so; drop may free them. */
void table_sweep(struct table *t, int (*drop)(struct table_node *n, void *context), void *context);

#endif
