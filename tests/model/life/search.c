/* Breadth first over all states of one sale; from each, the jobs are run to their end. */
#include "model/life/life.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/common/states.h"

enum { WORDS_ALL = sizeof(struct state) / sizeof(uint64_t) };

static_assert(sizeof(struct state) == WORDS_ALL * sizeof(uint64_t), "no padding, or hashes differ");

struct run {
	const struct sale *sale;
	struct finding *found;
	struct states states;
};

static void put(struct states *t, const struct state *s, size_t parent)
{
	uint64_t words[WORDS_ALL];
	memcpy(words, s, sizeof words);
	states_add(t, words, WORDS_ALL, parent);
}

static void state_at(const struct run *r, size_t number, struct state *s)
{
	memcpy(s, states_at(&r->states, number), sizeof *s);
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

/* First the orders that are not paid have time, then they expire. */
static const char *rest(const struct state *s, const struct sale *sale)
{
	struct state at_rest = *s;
	for (int time_passes = 0; time_passes < 2; time_passes++) {
		if (!run_jobs(&at_rest, sale, time_passes))
			return "the jobs never end";
		const char *wrong = check_rest(&at_rest, sale);
		if (wrong)
			return wrong;
	}
	return NULL;
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
		struct reply reply = step_take(&next, r->sale, &list[i]);
		f->steps++;
		f->replies[list[i].kind][reply.word]++;
		f->wrong = check_step(&s, &next, r->sale, &list[i], reply);
		if (!f->wrong)
			f->wrong = check_state(&next, r->sale);
		if (f->wrong) {
			trace_back(r, number, &list[i]);
			return false;
		}
		if (memcmp(&next, &s, sizeof s) != 0)
			put(&r->states, &next, number);
	}
	f->wrong = rest(&s, r->sale);
	if (f->wrong)
		trace_back(r, number, NULL);
	return !f->wrong;
}

void search(const struct sale *sale, struct finding *f)
{
	struct run r = { .sale = sale, .found = f };
	struct states_search all = { .expand = expand, .context = &r };
	struct state first;
	*f = (struct finding){ 0 };
	states_init(&r.states);
	state_init(&first);
	put(&r.states, &first, 0);
	states_search(&r.states, &all);
	f->depth = all.depth;
	f->states = r.states.count;
	states_release(&r.states);
}
