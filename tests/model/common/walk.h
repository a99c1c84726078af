/* For random traces: choices that depend on the seed only, and a little JSON. */
#ifndef MODEL_COMMON_WALK_H
#define MODEL_COMMON_WALK_H

#include <stddef.h>
#include <stdint.h>

void seed_choices(uint64_t seed);

/* 0 to n - 1. */
int below(int n);

/*
 * The number of one of `count` steps, each `size` bytes long, of which the first is its kind. First a kind is chosen,
 * by weight, then a step of that kind: otherwise the many messages would leave little room for anything else.
 */
int choose_step(const void *steps, size_t size, int count, int (*weight_of)(int kind));

/* "name": [1, 2, 3] */
void print_numbers(const char *name, const int *numbers, int count);

#endif
