/* seckillctl: what an operator runs. */
#include "bin/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct command commands[] = {
	{ "migrate", "", "bring the schema up to date", WITH_DB, ctl_migrate },
	{ "config", "", "print every setting and where it comes from", 0, ctl_config },
	{ "routes", "", "print the route table", 0, ctl_routes },
	{ "check", "", "are the servers there and durable, the schema current, the shared files usable?",
	  WITH_REDIS | WITH_DB, ctl_check },
	{ "status", "[SELLER/COUPON]", "units and queues of one coupon, or of all", WITH_REDIS | WITH_DB, ctl_status },
	{ "audit", "[--repair [--yes]] [--window N] [SELLER/COUPON]", "prove one coupon, or all, order by order",
	  WITH_REDIS | WITH_DB, ctl_audit },
	{ "dead", "list [--all] | retry ID... | drop ID... --reason TEXT", "dead letters: records that became no order",
	  WITH_REDIS | WITH_DB, ctl_dead },
	{ "recover", "[--resell-unknown] SELLER/COUPON|--all",
	  "make coupons right again that Redis lost or turned back; they are closed meanwhile",
	  WITH_REDIS | WITH_DB | WITH_MARKS, ctl_recover },
	{ "rebuild", "[--resell-unknown] SELLER/COUPON|--all", "the same as recover", WITH_REDIS | WITH_DB | WITH_MARKS,
	  ctl_recover },
	{ "token", "NAME... | --count N --prefix P [--kind customer|seller] [--out FILE]",
	  "mint tokens; with --count for users P1 to PN, which are made when missing",
	  WITH_REDIS | WITH_DB | WITH_TOKENS, ctl_token },
#ifdef FAULTS
	{ "faults", "", "list the points at which tests kill this build", 0, ctl_faults },
#endif
	{ "load", "URL SELLER/COUPON --tokens FILE [--connections N] [--rate R] [--seconds S] [--course]",
	  "claim with each token once, count and time the answers", 0, ctl_load },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static bool json;
static const struct command *current;

static bool on_flag(int flag, const char *value)
{
	(void)value;
	json = flag == 'j';
	return json;
}

static char *usage(struct arena *a)
{
	struct buf text;
	buf_init(&text, a);
	buf_puts(&text, "[-c FILE] [-s NAME=VALUE]... [--json] [-t] [-h] [-V] COMMAND\n\ncommands:");
	for (int i = 0; i < COMMANDS; i++)
		buf_printf(&text, "\n  %-8s %s\n           %s", commands[i].name, commands[i].args, commands[i].help);
	return text.p;
}

int ctl_fail(struct ctl *c, int code, const char *problem)
{
	fprintf(stderr, "%s %s: %s\n", c->program->name, current->name, problem);
	return code;
}

int ctl_usage(struct ctl *c)
{
	fprintf(stderr, "usage: %s %s %s\n", c->program->name, current->name, current->args);
	return EXIT_USAGE;
}

static const struct command *find(const char *name)
{
	for (int i = 0; i < COMMANDS; i++)
		if (name && strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* --json may stand anywhere; it is taken out of the words, so that getopt never meets it. */
static int take_json(int argc, char **argv)
{
	int kept = 0;
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else
			argv[kept++] = argv[i];
	argv[kept] = NULL;
	return kept;
}

int main(int argc, char **argv)
{
	static struct program p = { .name = "seckillctl", .flags = "j", .flag = on_flag, .takes_words = true };
	p.usage = usage(&p.arena);
	argc = take_json(argc, argv);
	int first = program_start(&p, argc, argv);
	current = find(argv[first]);
	if (!current)
		program_fail(&p, EXIT_USAGE,
			     argv[first] ? "unknown command; -h lists them" : "no command; -h lists them");
	if (current->parts)
		program_open(&p, current->parts | JOIN_SHARED);
	struct ctl c = { .program = &p, .service = &p.service, .arena = &p.arena, .json = json };
	buf_init(&c.out, &p.arena);
	int code = current->run(&c, argc - first - 1, argv + first + 1);
	fputs(buf_str(&c.out).p, stdout);
	bool is_written = fflush(stdout) == 0 && !ferror(stdout);
	if (!is_written)
		code = ctl_fail(&c, EXIT_SYSTEM, arena_printf(&p.arena, "the output was lost: %s", strerror(errno)));
	if (current->parts)
		program_close(&p);
	return code;
}
