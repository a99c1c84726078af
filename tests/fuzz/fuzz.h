/* A fuzz target: libFuzzer's, or driver.c's, which runs it over a corpus. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0, or does not return: what must hold is asserted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
