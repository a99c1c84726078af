#include "base/alloc.h"

#include <stdlib.h>

void *alloc_checked(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void *alloc(size_t size)
{
	return alloc_checked(malloc(size ? size : 1));
}

void *alloc_zeroed(size_t count, size_t size)
{
	return alloc_checked(calloc(count ? count : 1, size ? size : 1));
}

void *alloc_again(void *old, size_t size)
{
	return alloc_checked(realloc(old, size ? size : 1));
}
