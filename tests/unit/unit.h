/* What every unit test starts with: cmocka, TAP, and tables whose failing row is named. */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

/* A slice in a static table; the literal may hold NUL bytes. */
#define BYTES(literal) { (literal), sizeof(literal) - 1 }

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Fails with the row's name, when the condition is false. */
#define expect(condition, ...)                                                                                         \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			print_error("expected %s: ", #condition);                                                      \
			print_error(__VA_ARGS__);                                                                      \
			print_error("\n");                                                                             \
			fail();                                                                                        \
		}                                                                                                      \
	} while (0)

#define UNIT_MAIN(...)                                                                                                 \
	int main(void)                                                                                                 \
	{                                                                                                              \
		const struct CMUnitTest tests[] = { __VA_ARGS__ };                                                     \
		cmocka_set_message_output(CM_OUTPUT_TAP);                                                              \
		return cmocka_run_group_tests(tests, NULL, NULL);                                                      \
	}

#endif
