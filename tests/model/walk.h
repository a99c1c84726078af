/* Random traces of the model, a JSON object a line; replay.py says what it does with them. */
#ifndef MODEL_WALK_H
#define MODEL_WALK_H

#include <stdint.h>

enum { WALK_STEPS = 30 };

int print_walks(int traces, uint64_t seed);

#endif
