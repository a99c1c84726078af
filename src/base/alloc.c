#include "base/alloc.h"

#include <stdlib.h>

static void *there(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void *alloc(size_t size)
{
	return there(malloc(size ? size : 1));
}

void *alloc_zeroed(size_t count, size_t size)
{
	return there(calloc(count ? count : 1, size ? size : 1));
}

void *alloc_again(void *old, size_t size)
{
	return there(realloc(old, size ? size : 1));
}
