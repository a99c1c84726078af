/*
 *   life                  search the quick sales, and break each rule once                        (TAP)
 *   life --long           search larger sales as well, as does SECKILL_SOAK=1 in the environment  (TAP)
 *   life --mutant NAME    break one rule, and print the shortest way to what goes wrong           (TAP)
 */
#include <stdio.h>
#include <string.h>

#include "model/common/tap.h"
#include "model/life/life.h"

struct tally {
	size_t sales, states, steps;
	size_t replies[KINDS][WORDS];
};

static void count(struct tally *t, const struct finding *f)
{
	t->sales++;
	t->states += f->states;
	t->steps += f->steps;
	for (int k = 0; k < KINDS; k++)
		for (int w = 0; w < WORDS; w++)
			t->replies[k][w] += f->replies[k][w];
}

static void search_sales(const struct sales *sales, struct tally *t)
{
	struct finding f;
	for (size_t i = 0; i < sales->count; i++) {
		double began = tap_seconds();
		search(&sales->list[i], &f);
		count(t, &f);
		tap_result(!f.wrong, "every property holds: ", sales->list[i].name);
		printf("# %zu states, %zu steps, depth %d, %.1f s\n", f.states, f.steps, f.depth,
		       tap_seconds() - began);
		if (f.wrong)
			print_trace(&sales->list[i], &f);
	}
}

/* Every step was taken, and every answer to a claim given: no rule passed because it was never tried. */
static void check_replies(const struct tally *t)
{
	bool ok = true;
	for (int k = 0; k < KINDS; k++)
		ok = ok && (t->replies[k][DONE] || k == CLAIM || k == LATE_CLAIM);
	for (int w = WON; w <= SOLD_OUT; w++)
		ok = ok && (t->replies[CLAIM][w] || w == MINE || w == LIMIT) && t->replies[LATE_CLAIM][w];
	tap_result(ok, "every step was taken, and every reply given", "");
}

static void check_mutant(enum mutant m)
{
	const struct sale *sale = &quick_sales.list[mutants[m].sale];
	struct finding f;
	char name[200];
	mutant = m;
	search(sale, &f);
	snprintf(name, sizeof name, "%s (%s)", mutants[m].name, mutants[m].what);
	tap_result(f.wrong, "noticed: ", name);
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

static int run_all(bool all)
{
	struct tally t = { 0 };
	search_sales(&quick_sales, &t);
	if (all)
		search_sales(&long_sales, &t);
	check_replies(&t);
	printf("# %zu sales, %zu states, %zu steps\n", t.sales, t.states, t.steps);
	for (int i = NO_MUTANT + 1; i < MUTANTS; i++)
		check_mutant((enum mutant)i);
	return tap_end();
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--mutant"))
		return run_mutant(argv[2]);
	if (argc == 1 || (argc == 2 && !strcmp(argv[1], "--long")))
		return run_all(tap_is_long(argc, argv));
	fprintf(stderr, "usage: life [--long | --mutant NAME]\n");
	return 2;
}
