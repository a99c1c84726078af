/* What the three programs share: flags, configuration, exit codes. */
#ifndef BIN_PROGRAM_H
#define BIN_PROGRAM_H

#include "host/conf.h"
#include "sale/service.h"

/* Exit codes, as in the manuals. */
enum {
	EXIT_STOPPED = 0,      /* asked to stop */
	EXIT_USAGE = 64,       /* wrong flags */
	EXIT_UNAVAILABLE = 69, /* a server that is needed at the start is away */
	EXIT_SYSTEM = 71,      /* the system refused something */
	EXIT_CONFIG = 78,      /* bad configuration */
};

struct program {
	const char *name, *usage;
	const char *flags; /* getopt's, beyond the common c: s: t h V */
	bool (*flag)(int flag, const char *value);
	/* What follows the flags, before any setting is read; NULL: nothing may follow. Its last word is NULL. */
	void (*words)(struct program *p, int argc, char **argv);
	struct conf conf;
	struct service service;
	struct arena arena;
};

/* Reads flags and configuration; leaves with the right exit code when there is nothing to run. */
void program_start(struct program *p, int argc, char **argv);

/*
 * Opens what the program works with, and always the stats; leaves on bad configuration. JOIN_SHARED: stats and marks
 * are used when they are there, and never made: an operator's account must not become their owner.
 */
enum {
	WITH_LOOP_REDIS = 1,
	WITH_REDIS = 2,
	WITH_DB = 4,
	WITH_TOKENS = 8,
	WITH_ANY_VERSION = 16,
	WITH_MARKS = 32,
	JOIN_SHARED = 64
};
void program_open(struct program *p, int parts);
void program_close(struct program *p);

/*
 * Leaves with EXIT_CONFIG when MySQL's schema or the layout in Redis is of another version than this program's, or
 * newer; a server that is away is asked again when it is back. Needs WITH_REDIS.
 */
void program_check_versions(struct program *p);

/* TERM, INT and USR1 ask to stop. Blocks them but while the loop waits. */
void program_signals(struct program *p);
bool program_is_stopping(void);

_Noreturn void program_fail(struct program *p, int code, const char *problem);
/* What was asked for, on standard output. */
_Noreturn void program_print(const char *text);
_Noreturn void program_version(const struct program *p);

#endif
