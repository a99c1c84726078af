/* A hash table. The caller's objects have a node each; the table owns only its buckets, and grows when needed. */
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

/* The first node with this hash, and the next one after n; NULL at the end. The caller compares keys. */
struct table_node *table_find(const struct table *t, uint64_t hash);
struct table_node *table_next(const struct table_node *n);

void table_remove(struct table *t, struct table_node *n);

/* Calls fn for each node, and leaves the table empty. fn may free the node. */
void table_clear(struct table *t, void (*fn)(struct table_node *n));

/* Removes the nodes for which drop returns true; drop may free them. */
void table_sweep(struct table *t, int (*drop)(struct table_node *n, void *context), void *context);

#endif
