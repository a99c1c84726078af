/*
 * Breadth first over all states of one sale, as ../search.c does it. A state is stored without the words that are zero;
 * copies are stored as differences from what the master has, which are mostly zero.
 */
#include "model/lossy/lossy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_ALL = sizeof(struct state) / sizeof(uint64_t), SEGMENT_WORDS = sizeof(struct segment) / sizeof(uint64_t) };

static_assert(sizeof(struct state) % sizeof(uint64_t) == 0, "no padding, or hashes differ");
static_assert(sizeof(struct segment) % sizeof(uint64_t) == 0 && sizeof(struct hub) == sizeof(uint64_t),
	      "slots are words");

union packed {
	struct state state;
	uint64_t words[WORDS_ALL];
};

struct node {
	uint32_t at, parent;
};

struct slot {
	uint32_t hash, number; /* number + 1; 0: free */
};

struct set {
	uint64_t *words;
	size_t word_count, word_room;
	struct node *nodes;
	size_t count, room;
	struct slot *slots;
	size_t mask;
};

struct run {
	const struct sale *sale;
	struct finding *found;
	struct set states;
};

static void *grown(void *old, size_t size)
{
	void *p = realloc(old, size);
	if (!p)
		abort();
	return p;
}

static void differ(uint64_t *words, int length)
{
	for (int w = 0; w < COPIES * length; w++)
		words[length + w] ^= words[w % length];
}

static void difference(union packed *p)
{
	for (int i = 0; i < SEGMENTS; i++)
		differ(p->words + i * (COPIES + 1) * SEGMENT_WORDS, SEGMENT_WORDS);
	differ(p->words + SEGMENTS * (COPIES + 1) * SEGMENT_WORDS, 1);
}

static int pack(uint64_t to[WORDS_ALL + 1], const struct state *s)
{
	union packed p = { .state = *s };
	int n = 1;
	difference(&p);
	*to = 0;
	for (int w = 0; w < WORDS_ALL; w++)
		if (p.words[w]) {
			*to |= UINT64_C(1) << w;
			to[n++] = p.words[w];
		}
	return n;
}

static void unpack(struct state *s, const uint64_t *words)
{
	union packed p = { .words = { 0 } };
	uint64_t present = *words++;
	for (int w = 0; w < WORDS_ALL; w++)
		if (present >> w & 1)
			p.words[w] = *words++;
	difference(&p);
	*s = p.state;
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

static int length_of(const struct set *t, size_t i)
{
	return (int)((i + 1 < t->count ? t->nodes[i + 1].at : t->word_count) - t->nodes[i].at);
}

static void widen(struct set *t)
{
	free(t->slots);
	t->mask = t->mask * 2 + 1;
	t->slots = calloc(t->mask + 1, sizeof *t->slots);
	if (!t->slots)
		abort();
	for (size_t i = 0; i < t->count; i++) {
		uint64_t h = hash_of(t->words + t->nodes[i].at, length_of(t, i));
		size_t at = h & t->mask;
		while (t->slots[at].number)
			at = (at + 1) & t->mask;
		t->slots[at] = (struct slot){ (uint32_t)(h >> 32), (uint32_t)i + 1 };
	}
}

static void append(struct set *t, const uint64_t *words, int n, uint32_t parent)
{
	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 1024;
		t->nodes = grown(t->nodes, t->room * sizeof *t->nodes);
	}
	if (t->word_count + WORDS_ALL + 1 > t->word_room) { /* so that a comparison never reads beyond the end */
		t->word_room = t->word_room ? t->word_room + t->word_room / 2 : 16384;
		t->words = grown(t->words, t->word_room * sizeof *t->words);
	}
	memcpy(t->words + t->word_count, words, (size_t)n * sizeof *words);
	t->nodes[t->count++] = (struct node){ (uint32_t)t->word_count, parent };
	t->word_count += (size_t)n;
}

static void put(struct set *t, const struct state *s, uint32_t parent)
{
	uint64_t words[WORDS_ALL + 1];
	int n = pack(words, s);
	uint64_t h = hash_of(words, n);
	size_t at = h & t->mask;
	for (; t->slots[at].number; at = (at + 1) & t->mask) {
		const struct slot *slot = &t->slots[at];
		if (slot->hash == (uint32_t)(h >> 32) &&
		    !memcmp(t->words + t->nodes[slot->number - 1].at, words, (size_t)n * sizeof *words))
			return;
	}
	append(t, words, n, parent);
	t->slots[at] = (struct slot){ (uint32_t)(h >> 32), (uint32_t)t->count };
	if (t->count * 2 > t->mask)
		widen(t);
}

static void state_at(const struct run *r, size_t number, struct state *s)
{
	unpack(s, r->states.words + r->states.nodes[number].at);
}

static struct step step_between(struct run *r, size_t from, size_t to)
{
	struct state s, wanted, next;
	struct step list[STEPS_MOST];
	state_at(r, from, &s);
	state_at(r, to, &wanted);
	int count = steps_of(&s, r->sale, list);
	for (int i = 0; i < count; i++) {
		next = s;
		step_take(&next, r->sale, &list[i]);
		if (!memcmp(&next, &wanted, sizeof next))
			return list[i];
	}
	abort();
}

static void trace_back(struct run *r, size_t number, const struct step *last)
{
	struct finding *f = r->found;
	int length = 0;
	for (size_t n = number; n; n = r->states.nodes[n].parent)
		length++;
	if (length + !!last > (int)(sizeof f->trace / sizeof f->trace[0]))
		abort();
	f->trace_length = length + !!last;
	if (last)
		f->trace[length] = *last;
	for (size_t n = number; n; n = r->states.nodes[n].parent)
		f->trace[--length] = step_between(r, r->states.nodes[n].parent, n);
}

static bool in_bounds(const struct state *s, const struct sale *sale)
{
	int bases = sale->bases ? sale->bases : RANGES_MOST;
	int most = sale->granted_most ? sale->granted_most : sale->units;
	for (int i = 0; i < sale->segments; i++)
		if (s->hub.now.with[i].granted > most || s->db.cursor[i].inc >= bases)
			return false;
	return true;
}

static bool expand(struct run *r, size_t number)
{
	struct finding *f = r->found;
	struct state s, next;
	struct step list[STEPS_MOST];
	state_at(r, number, &s);
	int count = steps_of(&s, r->sale, list);
	for (int i = 0; i < count; i++) {
		next = s;
		enum word word = step_take(&next, r->sale, &list[i]);
		f->steps++;
		f->replies[list[i].kind][word]++;
		f->wrong = check_state(&next, r->sale);
		if (f->wrong) {
			trace_back(r, number, &list[i]);
			return false;
		}
		if (memcmp(&next, &s, sizeof s) != 0 && in_bounds(&next, r->sale))
			put(&r->states, &next, (uint32_t)number);
	}
	f->wrong = check_buyers(&s, r->sale);
	if (f->wrong)
		trace_back(r, number, NULL);
	return !f->wrong;
}

static void search_all(struct run *r, size_t states_most)
{
	size_t level_end = 1;
	for (size_t number = 0; number < r->states.count; number++) {
		if (number == level_end) {
			level_end = r->states.count;
			r->found->depth++;
		}
		if (!expand(r, number))
			return;
		if (states_most && r->states.count > states_most) {
			r->found->wrong = "too many states";
			return;
		}
	}
}

void search(const struct sale *sale, size_t states_most, struct finding *f)
{
	struct run r = { .sale = sale, .found = f, .states = { .mask = (1u << 12) - 1 } };
	struct state first;
	*f = (struct finding){ 0 };
	r.states.slots = calloc(r.states.mask + 1, sizeof *r.states.slots);
	if (!r.states.slots)
		abort();
	state_init(&first, sale);
	put(&r.states, &first, 0);
	search_all(&r, states_most);
	f->states = r.states.count;
	free(r.states.words);
	free(r.states.nodes);
	free(r.states.slots);
}
