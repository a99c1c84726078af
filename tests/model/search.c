/*
 * Breadth first over all states of one sale. A state is stored as its words, without the words of reports and steering that are zero;
 * `spare` then says which are there.
 */
#include "model/search.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/common/states.h"

enum {
	STATE_WORDS = sizeof(struct state) / sizeof(uint64_t),
	FIXED_WORDS = STATE_WORDS - SEGMENTS * REPORT_WORDS - 1,
};

union packed {
	struct state state;
	uint64_t words[STATE_WORDS];
};

static_assert(STATE_WORDS <= (int)STATE_WORDS_MOST, "a state fits");

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

/* True when it is new. */
static bool put(struct states *t, const struct state *s, size_t parent)
{
	union packed p;
	int n = pack(&p, s);
	return states_add(t, p.words, n, parent);
}

/* Slots, customers and watch bits without the messages; a lease that is over counts as none. */
static struct state core_of(const struct state *s, const struct sale *sale)
{
	struct state core = *s;
	core.asked = core.opens = 0;
	core.words = core.held_words = 0;
	memset(core.grants, 0, sizeof core.grants);
	memset(core.reports, 0, sizeof core.reports);
	for (int i = 0; i < SEGMENTS; i++)
		if (is_over(&core, core.segments[i].until))
			core.segments[i].until = core.segments[i].held = 0;
	drop_inert_release(&core);
	sort_alike(&core, sale);
	return core;
}

struct run {
	const struct sale *sale;
	const struct search_options *options;
	struct finding *found;
	struct states states, cores;
};

/* Takes one step in a copy. Returns what is wrong, or NULL. */
static const char *follow(struct run *r, const struct state *from, const struct step *step, struct state *to,
			  struct reply *reply)
{
	*to = *from;
	*reply = step_take(to, r->sale, step);
	const char *wrong = judge(from, to, r->sale, step, reply);
	if (!r->options->keep_inert)
		drop_inert(to, r->sale);
	sort_alike(to, r->sale);
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
	unpack(s, states_at(&r->states, number));
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
	size_t way[sizeof f->trace / sizeof f->trace[0]];
	int length = states_way(&r->states, number, way, (int)(sizeof way / sizeof way[0]));
	f->trace_length = length - !last;
	for (int i = 1; i < length; i++)
		f->trace[i - 1] = step_between(r, way[i - 1], way[i]);
	if (last)
		f->trace[length - 1] = *last;
}

static bool expand(void *context, size_t number)
{
	struct run *r = context;
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
		if (!put(&r->states, &next, number) || !r->options->count_cores)
			continue;
		struct state core = core_of(&next, r->sale);
		put(&r->cores, &core, 0);
	}
	f->wrong = r->options->buyers ? check_buyers(&s, r->sale, &f->most_scripts) : NULL;
	if (f->wrong)
		trace_back(r, number, NULL);
	return !f->wrong;
}

void search(const struct sale *sale, const struct search_options *o, struct finding *f)
{
	struct run r = { .sale = sale, .options = o, .found = f };
	struct state first;
	*f = (struct finding){ 0 };
	states_init(&r.states);
	states_init(&r.cores);
	state_init(&first, sale);
	put(&r.states, &first, 0);
	if (o->count_cores) {
		struct state core = core_of(&first, sale);
		put(&r.cores, &core, 0);
	}
	struct states_search all = { .expand = expand, .context = &r, .states_most = o->states_most };
	if (!states_search(&r.states, &all))
		f->wrong = "too many states";
	f->depth = all.depth;
	f->states = r.states.count;
	f->cores = r.cores.count;
	states_release(&r.states);
	states_release(&r.cores);
}
