/*
 *   lossy                      find the faults of the earlier rules, search the current ones, break each once (TAP)
 *   lossy --long               search larger sales as well, as does SECKILL_SOAK=1 in the environment         (TAP)
 *   lossy --rules earlier      print the shortest way to each fault of the earlier rules                      (TAP)
 *   lossy --rules current      search the current rules                                                       (TAP)
 *   lossy --mutant NAME        break one rule, and print the shortest way to what goes wrong                  (TAP)
 *   lossy --traces N --seed S  print random traces of the current rules, for replay.py                 (JSON lines)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/common/tap.h"
#include "model/lossy/lossy.h"

static size_t states_most; /* a search that finds more fails; 0: no limit */

static bool search_one(const struct sale *sale, const char *name, struct finding *f)
{
	double began = tap_seconds();
	search(sale, states_most, f);
	printf("# %s: %zu states, %zu steps, depth %d, %.1f s\n", name, f->states, f->steps, f->depth,
	       tap_seconds() - began);
	return f->wrong;
}

static void find_faults(void)
{
	struct finding f;
	rules = EARLIER;
	for (size_t i = 0; i < fault_count; i++) {
		bool found = search_one(&faults[i].sale, faults[i].name, &f);
		tap_result(found, "the earlier rules have this fault: ", faults[i].name);
		if (found)
			print_trace(&faults[i].sale, &f);
	}
}

static void search_sales(const struct sales *sales)
{
	struct finding f;
	rules = CURRENT;
	for (size_t i = 0; i < sales->count; i++) {
		bool found = search_one(&sales->list[i], sales->list[i].name, &f);
		tap_result(!found, "every property holds: ", sales->list[i].name);
		if (found)
			print_trace(&sales->list[i], &f);
	}
}

static void check_mutant(enum mutant m)
{
	const struct sale *sale = &quick_sales.list[mutants[m].sale];
	struct finding f;
	char name[200];
	rules = CURRENT;
	mutant = m;
	search(sale, states_most, &f);
	snprintf(name, sizeof name, "%s (%s)", mutants[m].name, mutants[m].what);
	tap_result(!f.wrong == (mutants[m].found == IMPLIED), f.wrong ? "noticed: " : "implied by other rules: ", name);
	printf("# %s: %zu states; %s\n", sale->name, f.states, f.wrong ? f.wrong : "every property holds");
	if (f.wrong)
		print_trace(sale, &f);
	mutant = NO_MUTANT;
}

static int run_mutant(const char *name)
{
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		if (!strcmp(mutants[i].name, name)) {
			check_mutant((enum mutant)i);
			return tap_end();
		}
	fprintf(stderr, "no such mutant. There are:\n");
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		fprintf(stderr, "  %-26s %s\n", mutants[i].name, mutants[i].what);
	return 2;
}

static int run_rules(const char *name)
{
	if (!strcmp(name, "earlier"))
		find_faults();
	else
		search_sales(&quick_sales);
	return tap_end();
}

static int run_all(bool all)
{
	find_faults();
	search_sales(&quick_sales);
	if (all)
		search_sales(&long_sales);
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		check_mutant((enum mutant)i);
	return tap_end();
}

int main(int argc, char **argv)
{
	if (getenv("LOSSY_STATES"))
		states_most = (size_t)atoll(getenv("LOSSY_STATES"));
	if (argc == 3 && !strcmp(argv[1], "--mutant"))
		return run_mutant(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "--rules") && (!strcmp(argv[2], "earlier") || !strcmp(argv[2], "current")))
		return run_rules(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "--traces") && !strcmp(argv[3], "--seed")) {
		print_walks(atoi(argv[2]), strtoull(argv[4], NULL, 10));
		return 0;
	}
	if (argc == 1 || (argc == 2 && !strcmp(argv[1], "--long")))
		return run_all(tap_is_long(argc, argv));
	fprintf(stderr, "usage: lossy [--long | --rules earlier | --rules current | --mutant NAME | --traces N --seed S]\n");
	return 2;
}
