/* Breadth first over all states of one sale. */
#ifndef MODEL_SEARCH_H
#define MODEL_SEARCH_H

#include "model/model.h"

struct finding {
	size_t states, cores; /* cores: without the messages; 0 when not counted */
	size_t steps;
	int depth;
	int most_scripts;             /* of a worker alone, for one sale */
	size_t replies[KINDS][WORDS]; /* how often each was given */
	const char *wrong;            /* NULL: every property holds */
	struct step trace[64];        /* the shortest way there */
	int trace_length;
};

struct search_options {
	bool keep_inert; /* keep messages that can change nothing */
	bool count_cores;
	bool buyers;        /* check in every state whether a worker alone sells */
	size_t states_most; /* 0: no limit; beyond it the search ends as wrong */
};

void search(const struct sale *sale, const struct search_options *o, struct finding *f);

#endif
