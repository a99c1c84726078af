#include "base/table.h"
#include "base/alloc.h"

#include <stdlib.h>

static void table_grow(struct table *t)
{
	size_t size = t->size ? t->size * 2 : 64;
	struct table_node **buckets = alloc_zeroed(size, sizeof(struct table_node *));
	for (size_t i = 0; i < t->size; i++)
		for (struct table_node *n = t->buckets[i], *next; n; n = next) {
			next = n->next;
			n->next = buckets[n->hash & (size - 1)];
			buckets[n->hash & (size - 1)] = n;
		}
	free(t->buckets);
	t->buckets = buckets;
	t->size = size;
}

void table_put(struct table *t, struct table_node *n, uint64_t hash)
{
	if (t->count >= t->size)
		table_grow(t);
	struct table_node **bucket = &t->buckets[hash & (t->size - 1)];
	n->hash = hash;
	n->next = *bucket;
	*bucket = n;
	t->count++;
}

static struct table_node *node_match(struct table_node *n, uint64_t hash)
{
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

struct table_node *table_find(const struct table *t, uint64_t hash)
{
	return t->size ? node_match(t->buckets[hash & (t->size - 1)], hash) : NULL;
}

struct table_node *table_next(const struct table_node *n)
{
	return node_match(n->next, n->hash);
}

void table_remove(struct table *t, struct table_node *n)
{
	struct table_node **at = &t->buckets[n->hash & (t->size - 1)];
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	t->count--;
}

void table_clear(struct table *t, void (*fn)(struct table_node *n))
{
	for (size_t i = 0; i < t->size; i++)
		for (struct table_node *n = t->buckets[i], *next; n; n = next) {
			next = n->next;
			fn(n);
		}
	free(t->buckets);
	*t = (struct table){ 0 };
}

void table_sweep(struct table *t, int (*drop)(struct table_node *n, void *context), void *context)
{
	for (size_t i = 0; i < t->size; i++)
		for (struct table_node **at = &t->buckets[i]; *at;) {
			struct table_node *n = *at, *next = n->next;
			if (drop(n, context)) {
				*at = next;
				t->count--;
			} else {
				at = &n->next;
			}
		}
}
