/*
 *   model                      search the quick sales, and break each rule once                         (TAP)
 *   model --long               search larger sales as well, as does SECKILL_SOAK=1 in the environment   (TAP)
 *   model --mutant NAME        break one rule, and print the shortest way to what goes wrong           (TAP)
 *   model --traces N --seed S  print random traces, for replay.py                                     (JSON lines)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/cases.h"
#include "model/common/tap.h"
#include "model/search.h"
#include "model/walk.h"

/* The shortest way there, step by step. */
static void print_trace(const struct sale *sale, const struct finding *f)
{
	struct state s, before;
	char text[320];
	state_init(&s, sale);
	printf("#   %s\n", sale_text(text, sale));
	printf("#      %s\n", state_text(text, sale, &s));
	for (int i = 0; i < f->trace_length; i++) {
		before = s;
		struct reply r = step_take(&s, sale, &f->trace[i]);
		judge(&before, &s, sale, &f->trace[i], &r);
		printf("#   %2d %s\n", i + 1, step_text(text, sale, &f->trace[i], &r));
		sort_alike(&s, sale);
		printf("#      %s\n", state_text(text, sale, &s));
	}
	printf("#   %s\n", f->wrong);
}

/* The engine as it is: no state and no step is wrong. */

struct tally {
	size_t states, steps, sales;
	int most_scripts;
	size_t replies[KINDS][WORDS];
};

static void count(struct tally *t, const struct finding *f)
{
	t->sales++;
	t->states += f->states;
	t->steps += f->steps;
	if (f->most_scripts > t->most_scripts)
		t->most_scripts = f->most_scripts;
	for (int k = 0; k < KINDS; k++)
		for (int w = 0; w < WORDS; w++)
			t->replies[k][w] += f->replies[k][w];
}

static bool search_family(const struct family *family, struct tally *t)
{
	struct search_options o = { .buyers = true };
	struct finding f;
	struct sale sale;
	char text[160];
	first_homes(family, &sale);
	do {
		double began = tap_seconds();
		search(&sale, &o, &f);
		count(t, &f);
		printf("# %s: %zu states, %zu steps, depth %d, %.1f s\n", sale_text(text, &sale), f.states, f.steps,
		       f.depth, tap_seconds() - began);
		if (f.wrong)
			print_trace(&sale, &f);
	} while (!f.wrong && next_homes(&sale));
	return !f.wrong;
}

static void search_families(const struct families *families, struct tally *t)
{
	for (size_t i = 0; i < families->count; i++)
		tap_result(search_family(&families->list[i], t), "every property holds: ", families->list[i].name);
}

/* Every reply that a script can give was given somewhere: no rule passed because it was never tried. */
static void check_replies(const struct tally *t)
{
	static const struct {
		enum kind kind;
		enum word words[8];
	} expected[] = { { CLAIM, { WON, MINE, NEED, SOLDOUT, HELD } }, { JOIN, { JOINED, WAITS, PROMOTED, UNITS } },
			 { LEAVE, { LEFT, NONE, PROMOTED } }, { PROMOTE, { OK } }, { AWARD, { OK } }, { CLEAR, { OK } },    { CREDIT, { OK } }, { DEBIT, { OK } },
			 { EXCHANGE, { OK, GRANT, NONE, LATER, SOLDOUT, HELD } }, { FLAG, { OK } },   { SUPPLY, { OK } },
			 { RELEASE, { OK } } };
	bool ok = true;
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		for (const enum word *w = expected[i].words; *w; w++)
			ok = ok && t->replies[expected[i].kind][*w];
	tap_result(ok, "every reply was given somewhere", "");
}

/* Messages that can change nothing may be dropped: the same states are reached with them. */
static void check_inert(const struct family *family)
{
	struct finding with, without;
	struct sale sale;
	char text[160];
	bool same = true;
	first_homes(family, &sale);
	do {
		search(&sale, &(struct search_options){ .count_cores = true, .keep_inert = true }, &with);
		search(&sale, &(struct search_options){ .count_cores = true }, &without);
		same = same && !with.wrong && !without.wrong && with.cores == without.cores;
		printf("# %s: %zu states without inert messages, %zu with; but for messages %zu and %zu\n",
		       sale_text(text, &sale), without.states, with.states, without.cores, with.cores);
	} while (next_homes(&sale));
	tap_result(same, "without messages that can change nothing the same states are reached: ", family->name);
}

/* Broken on purpose */

/* Messages are kept, because which ones are inert depends on the rules. */
static bool search_mutant(const struct mutant_row *m, struct sale *sale, struct finding *f)
{
	struct search_options o = { .keep_inert = true, .buyers = m->found == BY_BUYER };
	first_homes(m->found == BY_TWO_SUPPLIES ? &two_supplies_family
		    : m->found == BY_PAYMENTS   ? &payments_family
		    : m->found == BY_WAITING    ? &waiting_family
		    : m->found == BY_STEERING   ? (m - mutants < WITHDRAW_AMOUNTS ? &steering_family : &withdrawal_family)
		    : m->found == IMPLIED       ? &implied_family
						: &mutants_family,
		    sale);
	if (sale->segments > 1)
		sale->home[1] = 1;
	mutant = (enum mutant)(m - mutants);
	search(sale, &o, f);
	mutant = NO_MUTANT;
	return f->wrong;
}

static void check_mutant(const struct mutant_row *m)
{
	struct sale sale;
	struct finding f;
	bool found = search_mutant(m, &sale, &f);
	char name[160];
	snprintf(name, sizeof name, "%s (%s)", m->name, m->what);
	tap_result(found == (m->found != IMPLIED), found ? "noticed: " : "implied by other rules: ", name);
	printf("# %zu states%s%s\n", f.states, found ? "; " : ", every property holds", found ? f.wrong : "");
	mutant = (enum mutant)(m - mutants);
	if (found)
		print_trace(&sale, &f);
	mutant = NO_MUTANT;
}

static int run_mutant(const char *name)
{
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		if (!strcmp(mutants[i].name, name)) {
			check_mutant(&mutants[i]);
			return tap_end();
		}
	fprintf(stderr, "no such mutant. There are:\n");
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		fprintf(stderr, "  %-26s %s\n", mutants[i].name, mutants[i].what);
	return 2;
}

static int run_all(bool all)
{
	struct tally t = { 0 };
	search_families(&quick_families, &t);
	if (all)
		search_families(&long_families, &t);
	check_replies(&t);
	printf("# %zu sales, %zu states, %zu steps; a worker alone needs %d scripts at most to sell a unit\n", t.sales,
	       t.states, t.steps, t.most_scripts);
	for (size_t i = 0; i < small_families.count; i++)
		check_inert(&small_families.list[i]);
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		check_mutant(&mutants[i]);
	return tap_end();
}

/* The number after this option, or -1. */
static long long option(int argc, char **argv, const char *name)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], name))
			return atoll(argv[i + 1]);
	return -1;
}

int main(int argc, char **argv)
{
	long long traces = option(argc, argv, "--traces"), seed = option(argc, argv, "--seed");
	if (argc == 3 && !strcmp(argv[1], "--mutant"))
		return run_mutant(argv[2]);
	if (argc == 5 && traces >= 0 && seed >= 0)
		return print_walks((int)traces, (uint64_t)seed);
	if (argc == 1 || (argc == 2 && !strcmp(argv[1], "--long")))
		return run_all(tap_is_long(argc, argv));
	fprintf(stderr, "usage: model [--long | --mutant NAME | --traces N --seed S]\n");
	return 2;
}
