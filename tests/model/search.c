/*
 * States lie one after another in the order in which they were found, so the queue of the search is the list itself.
 * A state is its words, without the words of reports that are zero; `spare` then says which are there. The table has
 * the upper half of the hash beside the number, so that a state is read only when it is very likely the same.
 */
#include "model/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STATE_WORDS = sizeof(struct state) / sizeof(uint64_t),
	FIXED_WORDS = STATE_WORDS - SEGMENTS * REPORT_WORDS,
};

union packed {
	struct state state;
	uint64_t words[STATE_WORDS];
};

struct node {
	size_t at; /* first word */
	uint32_t parent;
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

static void *grown(void *old, size_t size)
{
	void *p = realloc(old, size);
	if (!p)
		abort();
	return p;
}

static void set_init(struct set *t)
{
	*t = (struct set){ .mask = (1u << 12) - 1 };
	t->slots = calloc(t->mask + 1, sizeof *t->slots);
	if (!t->slots)
		abort();
}

static void set_free(struct set *t)
{
	free(t->words);
	free(t->nodes);
	free(t->slots);
}

static int pack(union packed *to, const struct state *s)
{
	union packed from = { .state = *s };
	int n = FIXED_WORDS;
	for (int w = FIXED_WORDS; w < STATE_WORDS; w++)
		if (from.words[w]) {
			from.state.spare |= 1u << (w - FIXED_WORDS);
			to->words[n++] = from.words[w];
		}
	memcpy(to->words, from.words, FIXED_WORDS * sizeof(uint64_t));
	return n;
}

static void unpack(struct state *s, const uint64_t *words)
{
	union packed to = { .words = { 0 } };
	memcpy(to.words, words, FIXED_WORDS * sizeof(uint64_t));
	words += FIXED_WORDS;
	for (int w = FIXED_WORDS; w < STATE_WORDS; w++)
		if (to.state.spare >> (w - FIXED_WORDS) & 1)
			to.words[w] = *words++;
	to.state.spare = 0;
	*s = to.state;
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

static void widen(struct set *t)
{
	size_t mask = t->mask * 2 + 1;
	struct slot *slots = calloc(mask + 1, sizeof *slots);
	if (!slots)
		abort();
	for (size_t i = 0; i < t->count; i++) {
		size_t length = (i + 1 < t->count ? t->nodes[i + 1].at : t->word_count) - t->nodes[i].at;
		uint64_t h = hash_of(t->words + t->nodes[i].at, (int)length);
		size_t at = h & mask;
		while (slots[at].number)
			at = (at + 1) & mask;
		slots[at] = (struct slot){ (uint32_t)(h >> 32), (uint32_t)i + 1 };
	}
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
}

static void append(struct set *t, const uint64_t *words, int n, uint32_t parent)
{
	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 1024;
		t->nodes = grown(t->nodes, t->room * sizeof *t->nodes);
	}
	if (t->word_count + STATE_WORDS > t->word_room) { /* so that a comparison never reads beyond the end */
		t->word_room = t->word_room ? t->word_room * 2 : 16384;
		t->words = grown(t->words, t->word_room * sizeof *t->words);
	}
	memcpy(t->words + t->word_count, words, n * sizeof *words);
	t->nodes[t->count++] = (struct node){ t->word_count, parent };
	t->word_count += n;
}

/* True when it is new. */
static bool put(struct set *t, const struct state *s, uint32_t parent)
{
	union packed p;
	int n = pack(&p, s);
	uint64_t h = hash_of(p.words, n);
	size_t at = h & t->mask;
	for (; t->slots[at].number; at = (at + 1) & t->mask) {
		const struct slot *slot = &t->slots[at];
		if (slot->hash == (uint32_t)(h >> 32) &&
		    !memcmp(t->words + t->nodes[slot->number - 1].at, p.words, n * sizeof(uint64_t)))
			return false;
	}
	append(t, p.words, n, parent);
	t->slots[at] = (struct slot){ (uint32_t)(h >> 32), (uint32_t)t->count };
	if (t->count * 2 > t->mask)
		widen(t);
	return true;
}

/* What slots, people and watch bits are, without the messages; a lease that is over is none. */
static struct state core_of(const struct state *s)
{
	struct state core = *s;
	core.asked = core.opens = 0;
	core.words = 0;
	memset(core.grants, 0, sizeof core.grants);
	memset(core.reports, 0, sizeof core.reports);
	for (int i = 0; i < SEGMENTS; i++)
		if (is_over(&core, core.segments[i].until))
			core.segments[i].until = 0;
	return core;
}

struct run {
	const struct sale *sale;
	const struct search_options *options;
	struct finding *found;
	struct set states, cores;
};

/* Takes one step in a copy; what is wrong, or NULL. */
static const char *follow(struct run *r, const struct state *from, const struct step *step, struct state *to,
			  struct reply *reply)
{
	*to = *from;
	*reply = step_take(to, r->sale, step);
	const char *wrong = judge(from, to, r->sale, step, reply);
	if (!r->options->keep_inert)
		drop_inert(to, r->sale);
	return wrong ? wrong : check_state(to, r->sale);
}

static bool in_bounds(const struct state *s, const struct sale *sale)
{
	for (int i = 0; i < sale->segments; i++)
		if (s->hub.with[i].granted > sale->granted_most)
			return false;
	return true;
}

static void state_at(const struct run *r, size_t number, struct state *s)
{
	unpack(s, r->states.words + r->states.nodes[number].at);
}

/* The step from a state to one that was found from it. */
static struct step step_between(struct run *r, size_t from, size_t to)
{
	struct state s, wanted, next;
	struct step list[STEPS_MOST];
	struct reply reply;
	state_at(r, from, &s);
	state_at(r, to, &wanted);
	int count = steps_of(&s, r->sale, list);
	for (int i = 0; i < count; i++) {
		follow(r, &s, &list[i], &next, &reply);
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

static bool expand(struct run *r, size_t number)
{
	struct finding *f = r->found;
	struct state s, next;
	struct step list[STEPS_MOST];
	struct reply reply;
	state_at(r, number, &s);
	int count = steps_of(&s, r->sale, list);
	for (int i = 0; i < count; i++) {
		f->wrong = follow(r, &s, &list[i], &next, &reply);
		if (f->wrong) {
			trace_back(r, number, &list[i]);
			return false;
		}
		f->steps++;
		f->replies[list[i].kind][reply.word]++;
		if (!memcmp(&next, &s, sizeof s) || !in_bounds(&next, r->sale))
			continue;
		if (!put(&r->states, &next, (uint32_t)number) || !r->options->count_cores)
			continue;
		struct state core = core_of(&next);
		put(&r->cores, &core, 0);
	}
	f->wrong = r->options->buyers ? check_buyers(&s, r->sale, &f->most_scripts) : NULL;
	if (f->wrong)
		trace_back(r, number, NULL);
	return !f->wrong;
}

static void search_all(struct run *r)
{
	size_t level_end = 1;
	for (size_t number = 0; number < r->states.count; number++) {
		if (number == level_end) {
			level_end = r->states.count;
			r->found->depth++;
		}
		if (!expand(r, number))
			return;
		if (r->options->states_most && r->states.count > r->options->states_most) {
			r->found->wrong = "too many states";
			return;
		}
	}
}

void search(const struct sale *sale, const struct search_options *o, struct finding *f)
{
	struct run r = { .sale = sale, .options = o, .found = f };
	struct state first;
	*f = (struct finding){ 0 };
	set_init(&r.states);
	set_init(&r.cores);
	state_init(&first, sale);
	put(&r.states, &first, 0);
	if (o->count_cores) {
		struct state core = core_of(&first);
		put(&r.cores, &core, 0);
	}
	search_all(&r);
	f->states = r.states.count;
	f->cores = r.cores.count;
	set_free(&r.states);
	set_free(&r.cores);
}
