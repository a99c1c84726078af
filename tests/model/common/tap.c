#include "model/common/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static int tests, failed;

void tap_result(bool ok, const char *what, const char *name)
{
	tests++;
	failed += !ok;
	printf("%sok %d - %s%s\n", ok ? "" : "not ", tests, what, name);
	fflush(stdout);
}

double tap_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

int tap_end(void)
{
	struct rusage use;
	printf("1..%d\n", tests);
	getrusage(RUSAGE_SELF, &use);
	printf("# %.1f s, %ld MB at most\n", tap_seconds(), use.ru_maxrss / 1024);
	return failed > 0;
}

bool tap_is_long(int argc, char **argv)
{
	const char *soak = getenv("SECKILL_SOAK");
	return (argc == 2 && !strcmp(argv[1], "--long")) || (soak && !strcmp(soak, "1"));
}
