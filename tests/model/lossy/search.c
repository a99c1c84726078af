/*
 * Breadth first over all states of one sale. A state is stored without the words that are zero; copies are stored as
 * differences from what the master has, which are mostly zero.
 */
#include "model/lossy/lossy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/common/states.h"

enum { WORDS_ALL = sizeof(struct state) / sizeof(uint64_t), SEGMENT_WORDS = sizeof(struct segment) / sizeof(uint64_t) };

static_assert(WORDS_ALL < 64 && WORDS_ALL < (int)STATE_WORDS_MOST, "a bit for each word, and a state fits");
static_assert(sizeof(struct state) % sizeof(uint64_t) == 0, "no padding, or hashes differ");
static_assert(sizeof(struct segment) % sizeof(uint64_t) == 0 && sizeof(struct hub) == sizeof(uint64_t),
	      "slots are words");

union packed {
	struct state state;
	uint64_t words[WORDS_ALL];
};

struct run {
	const struct sale *sale;
	struct finding *found;
	struct states states;
};

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

static void put(struct states *t, const struct state *s, size_t parent)
{
	uint64_t words[WORDS_ALL + 1];
	int n = pack(words, s);
	states_add(t, words, n, parent);
}

static void state_at(const struct run *r, size_t number, struct state *s)
{
	unpack(s, states_at(&r->states, number));
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
	size_t way[sizeof f->trace / sizeof f->trace[0]];
	int length = states_way(&r->states, number, way, (int)(sizeof way / sizeof way[0]));
	f->trace_length = length - !last;
	for (int i = 1; i < length; i++)
		f->trace[i - 1] = step_between(r, way[i - 1], way[i]);
	if (last)
		f->trace[length - 1] = *last;
}

static bool in_bounds(const struct state *s, const struct sale *sale)
{
	int bases = sale->bases ? sale->bases : RANGES_MOST;
	int most = sale->granted_most ? sale->granted_most : sale->units;
	for (int i = 0; i < sale->segments; i++)
		if (s->hub.now.with[i].granted > most || s->db.cursor[i].base >= bases)
			return false;
	return true;
}

static bool expand(void *context, size_t number)
{
	struct run *r = context;
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
		if (!f->wrong && list[i].kind == CLAIM && word == WON)
			f->wrong = check_claim(&s, r->sale, list[i].at);
		if (f->wrong) {
			trace_back(r, number, &list[i]);
			return false;
		}
		if (memcmp(&next, &s, sizeof s) != 0 && in_bounds(&next, r->sale))
			put(&r->states, &next, number);
	}
	f->wrong = check_buyers(&s, r->sale);
	if (f->wrong)
		trace_back(r, number, NULL);
	return !f->wrong;
}

void search(const struct sale *sale, size_t states_most, struct finding *f)
{
	struct run r = { .sale = sale, .found = f };
	struct states_search all = { .expand = expand, .context = &r, .states_most = states_most };
	struct state first;
	*f = (struct finding){ 0 };
	states_init(&r.states);
	state_init(&first, sale);
	put(&r.states, &first, 0);
	if (!states_search(&r.states, &all))
		f->wrong = "too many states";
	f->depth = all.depth;
	f->states = r.states.count;
	states_release(&r.states);
}
