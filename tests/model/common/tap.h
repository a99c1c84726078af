/* TAP: a line for each thing that is checked, and what it took. */
#ifndef MODEL_COMMON_TAP_H
#define MODEL_COMMON_TAP_H

#include <stdbool.h>

/* Prints a line; the name is `what` and `name` together. */
void tap_result(bool ok, const char *what, const char *name);

/* Prints the plan, the time and the memory; returns the exit code. */
int tap_end(void);

/* Seconds of processor time since the start. */
double tap_seconds(void);

/* --long, or SECKILL_SOAK=1 in the environment: the long form is wanted. Other arguments are not looked at. */
bool tap_is_long(int argc, char **argv);

#endif
