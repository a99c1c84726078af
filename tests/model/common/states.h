/*
 * The states that a search has found, each once, in the order in which they were found: the queue of a breadth-first
 * search is the list itself. A state is an array of words, however its model packs them; equal states have equal words.
 */
#ifndef MODEL_COMMON_STATES_H
#define MODEL_COMMON_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STATE_WORDS_MOST = 128 };

struct states {
	uint64_t *words; /* of all states, one after another */
	size_t word_count, word_room;
	struct node *nodes;
	size_t count, room;
	struct place *places; /* a hash table of the numbers of states */
	size_t mask;
};

void states_init(struct states *t);
void states_release(struct states *t);

/* Adds a state of n words, 1 to STATE_WORDS_MOST, that was reached from state number `parent`. False: it is there. */
bool states_add(struct states *t, const uint64_t *words, int n, size_t parent);

/* The words of a state; valid until the next states_add(). */
const uint64_t *states_at(const struct states *t, size_t number);

/*
 * The numbers of the states on the way from the first to this one, both included; returns how many. Aborts when they
 * are more than `most`.
 */
int states_way(const struct states *t, size_t number, size_t way[], int most);

/* A search: expands each state, those that are added meanwhile, too, until expand() returns false. */
struct states_search {
	bool (*expand)(void *context, size_t number);
	void *context;
	size_t states_most; /* 0: no limit */
	int depth;          /* result: steps from the first state to the last that was expanded */
};

/* False: there were more than states_most. */
bool states_search(const struct states *t, struct states_search *search);

#endif
