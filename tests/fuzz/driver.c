/*
 * Runs a target over the files of its corpus, and over variations of each, so
 * that `make check` needs no libFuzzer. Speaks TAP, a line a file; the seed of
 * the variations is printed.
 *
 *     fuzz_NAME [DIRECTORY]     by default tests/fuzz/corpus/NAME in the source tree
 *
 * Under libFuzzer (tests/fuzz/soak.sh) there is nothing of it.
 */
#include "fuzz/fuzz.h"

#ifndef FUZZ_WITH_LIBFUZZER

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 8192, VARIATIONS = 500, SEED = 1 };

struct input {
	size_t n;
	uint8_t bytes[INPUT_MAX];
};

static int is_file(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int read_input(const char *path, struct input *in)
{
	FILE *f = fopen(path, "r");
	if (!f)
		return -1;
	in->n = fread(in->bytes, 1, INPUT_MAX / 2, f);
	return fclose(f);
}

/* Targets get memory of exactly the input's size, so that a sanitizer sees a read past its end. */
static void run(const struct input *in)
{
	uint8_t *copy = malloc(in->n ? in->n : 1);
	if (!copy)
		abort();
	memcpy(copy, in->bytes, in->n);
	LLVMFuzzerTestOneInput(copy, in->n);
	free(copy);
}

static void vary(struct input *in)
{
	size_t at = in->n ? (size_t)rand() % in->n : 0, rest = in->n - at;
	switch (rand() % 5) {
	case 0: /* another bit */
		if (rest)
			in->bytes[at] ^= (uint8_t)(1u << (rand() % 8));
		break;
	case 1: /* another byte */
		if (rest)
			in->bytes[at] = (uint8_t)rand();
		break;
	case 2: /* shorter */
		if (rest)
			memmove(in->bytes + at, in->bytes + at + 1, --in->n - at);
		break;
	case 3: /* longer */
		if (in->n < INPUT_MAX) {
			memmove(in->bytes + at + 1, in->bytes + at, rest);
			in->bytes[at] = (uint8_t)rand();
			in->n++;
		}
		break;
	default: /* a piece twice */
		rest = rest > 64 ? 64 : rest;
		if (in->n + rest <= INPUT_MAX) {
			memmove(in->bytes + at + rest, in->bytes + at, in->n - at);
			in->n += rest;
		}
	}
}

static void run_with_variations(const struct input *in)
{
	run(in);
	for (int i = 0; i < VARIATIONS; i++) {
		struct input other = *in;
		for (int k = rand() % 4; k >= 0; k--)
			vary(&other);
		run(&other);
	}
}

static void default_folder(char *folder, size_t size, const char *program)
{
	const char *top = getenv("top_srcdir"), *name = strstr(program, "fuzz_");
	while (name && strstr(name + 1, "fuzz_"))
		name = strstr(name + 1, "fuzz_");
	snprintf(folder, size, "%s/tests/fuzz/corpus/%s", top ? top : ".", name ? name + 5 : "");
}

int main(int argc, char **argv)
{
	char folder[4096], path[8192];
	struct dirent **files;
	struct input in;
	if (argc > 1)
		snprintf(folder, sizeof folder, "%s", argv[1]);
	else
		default_folder(folder, sizeof folder, argv[0]);
	int count = scandir(folder, &files, is_file, alphasort);
	if (count <= 0) {
		printf("Bail out! %s: %s\n", folder, count ? strerror(errno) : "no inputs");
		return 1;
	}
	printf("1..%d\n# seed %d, %d variations of each\n", count, SEED, VARIATIONS);
	srand(SEED);
	int failures = 0;
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name);
		int readable = read_input(path, &in) == 0;
		fflush(stdout);
		if (readable)
			run_with_variations(&in);
		failures += !readable;
		printf("%sok %d - %s\n", readable ? "" : "not ", i + 1, files[i]->d_name);
		free(files[i]);
	}
	free(files);
	return failures != 0;
}
#endif
