#include "model/common/walk.h"

#include <stdio.h>

enum { KINDS_MOST = 64 };

static uint64_t random_state;

void seed_choices(uint64_t seed)
{
	random_state = seed;
}

/* splitmix64 */
static uint64_t random_next(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

int below(int n)
{
	return (int)(random_next() % (unsigned)n);
}

int choose_step(const void *steps, size_t size, int count, int (*weight_of)(int kind))
{
	const uint8_t *step = steps;
	int of_kind[KINDS_MOST] = { 0 }, total = 0, kind = 0, number;
	for (int i = 0; i < count; i++)
		if (!of_kind[step[i * size]]++)
			total += weight_of(step[i * size]);
	for (int at = below(total); kind < KINDS_MOST; kind++)
		if (of_kind[kind] && (at -= weight_of(kind)) < 0)
			break;
	number = below(of_kind[kind]);
	for (int i = 0; i < count; i++)
		if (step[i * size] == kind && !number--)
			return i;
	return 0;
}

void print_numbers(const char *name, const int *numbers, int count)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < count; i++)
		printf("%s%d", i ? ", " : "", numbers[i]);
	printf("]");
}
