/*
 *   lossy                    today's faults are found; the next rules hold; each rule is broken once     (TAP)
 *   lossy --long             larger sales also; SECKILL_SOAK=1 in the environment does the same          (TAP)
 *   lossy --rules today      search for each of today's faults, and print the shortest ways there        (TAP)
 *   lossy --rules next       search the next rules                                                       (TAP)
 *   lossy --mutant NAME      break one of the next rules, and print the shortest way to what goes wrong  (TAP)
 *   lossy --traces N --seed S  print random traces of the next rules, for replay.py                      (JSON lines)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "model/lossy/lossy.h"

static int tests, failed;
static size_t states_most; /* a search that needs more fails; 0: none does */

static void result(bool ok, const char *what, const char *name)
{
	tests++;
	failed += !ok;
	printf("%sok %d - %s%s\n", ok ? "" : "not ", tests, what, name);
	fflush(stdout);
}

static double seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static bool search_one(const struct sale *sale, const char *name, struct finding *f)
{
	double began = seconds();
	search(sale, states_most, f);
	printf("# %s: %zu states, %zu steps, depth %d, %.1f s\n", name, f->states, f->steps, f->depth,
	       seconds() - began);
	return f->wrong;
}

static void find_faults(void)
{
	struct finding f;
	rules = TODAY;
	for (size_t i = 0; i < fault_count; i++) {
		bool found = search_one(&faults[i].sale, faults[i].name, &f);
		result(found, "today's rules have this fault: ", faults[i].name);
		if (found)
			print_trace(&faults[i].sale, &f);
	}
}

static void search_sales(const struct sales *sales)
{
	struct finding f;
	rules = NEXT;
	for (size_t i = 0; i < sales->count; i++) {
		bool found = search_one(&sales->list[i], sales->list[i].name, &f);
		result(!found, "all is well: ", sales->list[i].name);
		if (found)
			print_trace(&sales->list[i], &f);
	}
}

static void check_mutant(enum mutant m)
{
	const struct sale *sale = &quick_sales.list[mutants[m].sale];
	struct finding f;
	char name[200];
	rules = NEXT;
	mutant = m;
	search(sale, states_most, &f);
	snprintf(name, sizeof name, "%s (%s)", mutants[m].name, mutants[m].what);
	result(!f.wrong == (mutants[m].found == IMPLIED), f.wrong ? "noticed: " : "implied by other rules: ", name);
	printf("# %s: %zu states; %s\n", sale->name, f.states, f.wrong ? f.wrong : "all is well");
	if (f.wrong)
		print_trace(sale, &f);
	mutant = NO_MUTANT;
}

static int end(void)
{
	struct rusage use;
	printf("1..%d\n", tests);
	getrusage(RUSAGE_SELF, &use);
	printf("# %.1f s, %ld MB at most\n", seconds(), use.ru_maxrss / 1024);
	return failed > 0;
}

static int run_mutant(const char *name)
{
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		if (!strcmp(mutants[i].name, name)) {
			check_mutant((enum mutant)i);
			return end();
		}
	fprintf(stderr, "no such mutant. There are:\n");
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		fprintf(stderr, "  %-26s %s\n", mutants[i].name, mutants[i].what);
	return 2;
}

static int run_rules(const char *name)
{
	if (!strcmp(name, "today"))
		find_faults();
	else
		search_sales(&quick_sales);
	return end();
}

static int run_all(bool all)
{
	find_faults();
	search_sales(&quick_sales);
	if (all)
		search_sales(&long_sales);
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		check_mutant((enum mutant)i);
	return end();
}

int main(int argc, char **argv)
{
	const char *soak = getenv("SECKILL_SOAK");
	if (getenv("LOSSY_STATES"))
		states_most = (size_t)atoll(getenv("LOSSY_STATES"));
	if (argc == 3 && !strcmp(argv[1], "--mutant"))
		return run_mutant(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "--rules") && (!strcmp(argv[2], "today") || !strcmp(argv[2], "next")))
		return run_rules(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "--traces") && !strcmp(argv[3], "--seed")) {
		print_walks(atoi(argv[2]), strtoull(argv[4], NULL, 10));
		return 0;
	}
	if (argc == 1 || (argc == 2 && !strcmp(argv[1], "--long")))
		return run_all(argc == 2 || (soak && !strcmp(soak, "1")));
	fprintf(stderr, "usage: lossy [--long | --rules today | --rules next | --mutant NAME | --traces N --seed S]\n");
	return 2;
}
