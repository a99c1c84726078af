/* seckillctl's commands: one table row each, in ctl_main.c. */
#ifndef BIN_CTL_H
#define BIN_CTL_H

#include "base/buf.h"
#include "bin/program.h"
#include "store/durable.h"

struct ctl {
	struct program *program;
	struct service *service;
	struct arena *arena;
	bool json;
	struct buf out; /* what the command prints, on standard output, at its end */
};

struct command {
	const char *name, *args, *help;
	int parts;                                        /* of program_open */
	int (*run)(struct ctl *c, int argc, char **argv); /* the exit code; argv holds the words that are no options */
	const struct option *options; /* of getopt_long, beyond those that every command has; NULL: none */
};

/* The value of an option that was given to the command ("" when it takes none), else NULL. */
const char *ctl_option(const char *name);

/* Exit codes of audit, dead and check, besides those of every program. */
enum { EXIT_HOLDS = 0, EXIT_DOES_NOT_HOLD = 1, EXIT_CANNOT_TELL = 2 };

int ctl_migrate(struct ctl *c, int argc, char **argv);
int ctl_config(struct ctl *c, int argc, char **argv);
int ctl_routes(struct ctl *c, int argc, char **argv);
int ctl_check(struct ctl *c, int argc, char **argv);
int ctl_status(struct ctl *c, int argc, char **argv);
/* The coupons of status; as JSON, an array in the object that was begun. */
int ctl_units(struct ctl *c, int argc, char **argv, const char *member);
int ctl_audit(struct ctl *c, int argc, char **argv);
int ctl_dead(struct ctl *c, int argc, char **argv);
int ctl_recover(struct ctl *c, int argc, char **argv);
int ctl_user(struct ctl *c, int argc, char **argv);
int ctl_token(struct ctl *c, int argc, char **argv);
int ctl_faults(struct ctl *c, int argc, char **argv); /* in test builds only */
int ctl_load(struct ctl *c, int argc, char **argv);

/* Says what is wrong on standard error and returns code. */
int ctl_fail(struct ctl *c, int code, const char *problem);
/* The same of a status. */
int ctl_fail_status(struct ctl *c, int code, enum status s);
/* For an operator, instead of a text that leaves the reason to the log: the line that was logged last, if any. */
const char *ctl_reason(const char *text);
const char *ctl_status_text(enum status s);
int ctl_usage(struct ctl *c);

/* Whether a server can be asked, for a person: "ok", "away: REASON", "refused: REASON", or how it may lose data. */
const char *ctl_access(struct ctl *c, enum access access, const char *problem);

#endif
