/*
 * What the commands of seckillctl share, and those about servers, accounts and whole coupons. Those about one sale are
 * in desk/desk.h, the table of all is in desk/main.c.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/buf.h"
#include "bin/program.h"
#include "store/durable.h"

struct ctl {
	struct program *program;
	struct service *service;
	struct arena *arena;
	bool json;
	struct buf out; /* written to standard output when the command has ended */
};

struct command {
	const char *name, *args, *help;
	int parts; /* of program_open */
	int (*run)(struct ctl *c, int argc,
		   char **argv);      /* returns the exit code; argv has the words without options */
	const struct option *options; /* options of this command, for getopt_long; NULL: none */
};

/*
 * The whole program: reads the words, runs a command of the table, and writes what it has left in `out`. Options may
 * stand before, between and after the words of a command; -- ends them. Returns the exit code, or exits.
 */
int ctl_main(const struct command *table, int count, int argc, char **argv);

/* The value of an option of the command, "" when it takes none; NULL when it was not given. */
const char *ctl_option(const char *name);

/* Exit codes of audit, dead, orders and check, besides those of every program. */
enum { EXIT_HOLDS = 0, EXIT_DOES_NOT_HOLD = 1, EXIT_CANNOT_TELL = 2 };

int ctl_migrate(struct ctl *c, int argc, char **argv);
int ctl_config(struct ctl *c, int argc, char **argv);
int ctl_routes(struct ctl *c, int argc, char **argv);
int ctl_check(struct ctl *c, int argc, char **argv);
int ctl_status(struct ctl *c, int argc, char **argv);
/* Prints coupons as ctl_status does; in JSON, as the member `member` of the object that was begun. */
int ctl_units(struct ctl *c, int argc, char **argv, const char *member);
int ctl_audit(struct ctl *c, int argc, char **argv);
int ctl_recover(struct ctl *c, int argc, char **argv);
int ctl_quota(struct ctl *c, int argc, char **argv);
int ctl_user(struct ctl *c, int argc, char **argv);
int ctl_token(struct ctl *c, int argc, char **argv);
int ctl_faults(struct ctl *c, int argc, char **argv); /* in test builds only */

/* Prints the problem on standard error and returns code. */
int ctl_fail(struct ctl *c, int code, const char *problem);
/* As ctl_fail, with the text of a status. */
int ctl_fail_status(struct ctl *c, int code, enum status s);
/* Writes a line to standard error, as the other programs log it. */
struct log_pair;
void ctl_log(const char *event, const struct log_pair *pairs);
/* The last logged line, in a form for operators; `text` if nothing was logged. */
const char *ctl_reason(const char *text);
const char *ctl_status_text(enum status s);
/* Prints the usage of the command and returns EXIT_USAGE. */
int ctl_usage(struct ctl *c);
/* Prints what is wrong with an argument, then does as ctl_usage. */
int ctl_wrong(struct ctl *c, const char *problem);

/* "ok", "away: REASON", "refused: REASON", or how the server may lose data. */
const char *ctl_access(struct ctl *c, enum access access, const char *problem);

#endif
