/* What the three programs share: flags, settings, connections and exit codes. */
#ifndef BIN_PROGRAM_H
#define BIN_PROGRAM_H

#include "host/conf.h"
#include "sale/service.h"

/* Exit codes, as in the manuals. */
enum {
	EXIT_STOPPED = 0,      /* stopped by request */
	EXIT_USAGE = 64,       /* wrong flags */
	EXIT_UNAVAILABLE = 69, /* a server that is needed at the start does not answer */
	EXIT_SYSTEM = 71,      /* a system call failed */
	EXIT_CONFIG = 78,      /* a setting or a file is wrong */
};

struct program {
	const char *name, *usage;
	const char *flags; /* further flags for getopt, besides c: s: t h V */
	bool (*flag)(int flag, const char *value);
	/*
	 * Gets the words after the flags, before settings are read; argv ends with NULL. May be NULL: no words are
	 * allowed.
	 */
	void (*words)(struct program *p, int argc, char **argv);
	struct conf conf;
	struct service service;
	struct arena arena;
};

/* Reads flags and settings. Exits on an error, and after -t, -h and -V. */
void program_start(struct program *p, int argc, char **argv);

/*
 * Opens the parts that the program needs, and always the stats. Exits on bad settings. Does not ask servers yet.
 * JOIN_SHARED: the files of stats and high-water table are used if they exist, but not created, because they would
 * belong to the operator's account. WITH_SYNC_ENGINE: the process may claim (stock/claim.h), through redis_sync and on
 * its loop, so that its claims go on while it waits for a reply or rests.
 */
enum {
	WITH_LOOP_REDIS = 1,
	WITH_REDIS = 2,
	WITH_DB = 4,
	WITH_TOKENS = 8,
	WITH_ANY_VERSION = 16,
	WITH_MARKS = 32,
	JOIN_SHARED = 64,
	WITH_SYNC_ENGINE = 128,
	WITH_PAYMENT_KEYS = 256,
	WITH_RATES = 512
};
void program_open(struct program *p, int parts);
void program_close(struct program *p);

/*
 * Exits with EXIT_CONFIG when the schema in MySQL or the layout in Redis has a version that this program cannot use. A
 * server that does not answer is checked later. Needs WITH_REDIS. Blocks for the answers.
 */
void program_check_versions(struct program *p);

/* TERM, INT and USR1 request the program to stop. They are blocked except while a loop waits. */
void program_signals(struct program *p);
bool program_is_stopping(void);

/* Prints the problem on standard error and exits with this code. */
_Noreturn void program_fail(struct program *p, int code, const char *problem);
/* Prints text on standard output and exits. */
_Noreturn void program_print(const char *text);
_Noreturn void program_version(const struct program *p);

#endif
