/*
 * Open addressing. A place has the upper half of the hash beside the number, so that a state is compared only when it is
 * very likely the same.
 */
#include "model/common/states.h"

#include <stdlib.h>
#include <string.h>

struct node {
	uint32_t at, parent; /* at: its first word */
};

struct place {
	uint32_t hash, number; /* number + 1; 0: free */
};

static void *checked(void *p)
{
	if (!p)
		abort();
	return p;
}

void states_init(struct states *t)
{
	*t = (struct states){ .mask = (1u << 12) - 1 };
	t->places = checked(calloc(t->mask + 1, sizeof *t->places));
}

void states_release(struct states *t)
{
	free(t->words);
	free(t->nodes);
	free(t->places);
}

const uint64_t *states_at(const struct states *t, size_t number)
{
	return t->words + t->nodes[number].at;
}

static uint64_t hash_of(const uint64_t *words, int n)
{
	uint64_t h = (uint64_t)n;
	for (int i = 0; i < n; i++) {
		h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h * UINT64_C(0xbf58476d1ce4e5b9);
}

static int length_of(const struct states *t, size_t i)
{
	return (int)((i + 1 < t->count ? t->nodes[i + 1].at : t->word_count) - t->nodes[i].at);
}

static void widen(struct states *t)
{
	free(t->places);
	t->mask = t->mask * 2 + 1;
	t->places = checked(calloc(t->mask + 1, sizeof *t->places));
	for (size_t i = 0; i < t->count; i++) {
		uint64_t h = hash_of(states_at(t, i), length_of(t, i));
		size_t at = h & t->mask;
		while (t->places[at].number)
			at = (at + 1) & t->mask;
		t->places[at] = (struct place){ (uint32_t)(h >> 32), (uint32_t)i + 1 };
	}
}

static void append(struct states *t, const uint64_t *words, int n, size_t parent)
{
	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 1024;
		t->nodes = checked(realloc(t->nodes, t->room * sizeof *t->nodes));
	}
	if (t->word_count + STATE_WORDS_MOST > t->word_room) { /* so that a comparison never reads beyond the end */
		t->word_room = t->word_room ? t->word_room + t->word_room / 2 : 16384;
		t->words = checked(realloc(t->words, t->word_room * sizeof *t->words));
	}
	if (t->word_count > UINT32_MAX - STATE_WORDS_MOST)
		abort();
	memcpy(t->words + t->word_count, words, (size_t)n * sizeof *words);
	t->nodes[t->count++] = (struct node){ (uint32_t)t->word_count, (uint32_t)parent };
	t->word_count += (size_t)n;
}

bool states_add(struct states *t, const uint64_t *words, int n, size_t parent)
{
	uint64_t h = hash_of(words, n);
	size_t at = h & t->mask;
	for (; t->places[at].number; at = (at + 1) & t->mask) {
		const struct place *place = &t->places[at];
		if (place->hash == (uint32_t)(h >> 32) &&
		    !memcmp(states_at(t, place->number - 1), words, (size_t)n * sizeof *words))
			return false;
	}
	append(t, words, n, parent);
	t->places[at] = (struct place){ (uint32_t)(h >> 32), (uint32_t)t->count };
	if (t->count * 2 > t->mask)
		widen(t);
	return true;
}

int states_way(const struct states *t, size_t number, size_t way[], int most)
{
	int length = 1, left;
	for (size_t n = number; n; n = t->nodes[n].parent)
		length++;
	if (length > most)
		abort();
	left = length;
	for (size_t n = number; n; n = t->nodes[n].parent)
		way[--left] = n;
	way[0] = 0;
	return length;
}

bool states_search(const struct states *t, struct states_search *search)
{
	size_t level_end = 1;
	for (size_t number = 0; number < t->count; number++) {
		if (number == level_end) {
			level_end = t->count;
			search->depth++;
		}
		if (!search->expand(search->context, number))
			return true;
		if (search->states_most && t->count > search->states_most)
			return false;
	}
	return true;
}
