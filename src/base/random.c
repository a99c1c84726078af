#include "base/random.h"

#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *to, size_t size)
{
	if (getrandom(to, size, 0) != (ssize_t)size)
		abort();
}

int64_t random_id(void)
{
	uint64_t bits;
	do {
		random_bytes(&bits, sizeof bits);
		bits >>= 16;
	} while (bits == 0);
	return (int64_t)bits;
}
