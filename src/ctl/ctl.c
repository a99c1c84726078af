/* How seckillctl reads its words, calls a command, and writes what it answers. */
#include "ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/log.h"

enum { FLAG = no_argument, MOST_OPTIONS = 8 };

static const struct command *commands;
static int command_count;
static bool json;
static const struct command *current;
static char **words;
static int word_count;
static const char *values[MOST_OPTIONS]; /* the values of the command's options, by their places in its table */

static bool on_flag(int flag, const char *value)
{
	(void)value;
	json |= flag == 'j';
	return flag == 'j';
}

static char *usage(struct arena *a)
{
	struct buf text;
	buf_init(&text, a);
	buf_puts(&text, "[-c FILE] [-s NAME=VALUE]... [--json] [-t] [-h] [-V] COMMAND\n\ncommands:");
	for (int i = 0; i < command_count; i++)
		buf_printf(&text, "\n  %-8s %s\n           %s", commands[i].name, commands[i].args, commands[i].help);
	return text.p;
}

int ctl_usage(struct ctl *c)
{
	(void)c;
	fprintf(stderr, "usage: seckillctl %s %s\n", current->name, current->args);
	return EXIT_USAGE;
}

static _Noreturn void help(struct program *p)
{
	program_print(arena_printf(&p->arena,
				   "usage: seckillctl %s %s\n\n  %s\n\n  --json          answer in JSON\n"
				   "  -h, --help      this help\n  -V, --version   the version\n"
				   "  --              ends the options\n",
				   current->name, current->args, current->help));
}

static const struct command *find_command(const char *name)
{
	for (int i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* The options of a command and those of every command. */
static void list_options(struct option all[MOST_OPTIONS + 4], const struct option *own)
{
	static const struct option common[] = {
		{ "json", FLAG, NULL, 'j' }, { "help", FLAG, NULL, 'h' }, { "version", FLAG, NULL, 'V' }, { 0 }
	};
	while (own && own->name)
		*all++ = *own++;
	memcpy(all, common, sizeof common);
}

static void take_words(struct program *p, int argc, char **argv)
{
	struct option options[MOST_OPTIONS + 4];
	int flag, which = 0;
	if (!argc)
		return;
	current = find_command(argv[0]);
	if (!current)
		program_fail(p, EXIT_USAGE, "unknown command; -h lists them");
	list_options(options, current->options);
	optind = 0; /* makes getopt start again, with other words */
	while ((flag = getopt_long(argc, argv, "hV", options, &which)) != -1) {
		if (flag == 'h')
			help(p);
		if (flag == 'V')
			program_version(p);
		if (flag == '?')
			exit(ctl_usage(NULL));
		if (flag == 'j')
			json = true;
		else
			values[which] = optarg ? optarg : "";
	}
	words = argv + optind;
	word_count = argc - optind;
}

const char *ctl_option(const char *name)
{
	for (int i = 0; current->options && current->options[i].name; i++)
		if (strcmp(current->options[i].name, name) == 0)
			return values[i];
	return NULL;
}

/* Errors */

int ctl_fail(struct ctl *c, int code, const char *problem)
{
	fprintf(stderr, "%s %s: %s\n", c->program->name, current->name, problem);
	return code;
}

int ctl_wrong(struct ctl *c, const char *problem)
{
	ctl_fail(c, EXIT_USAGE, problem);
	return ctl_usage(c);
}

/* The last line that would have been logged: "mysql_failed: at recover, error MySQL error ...". */
static char reason[1024];

static size_t put_reason(size_t n, struct str s)
{
	for (size_t i = 0; i < s.n && n + 5 < sizeof reason; i++) {
		unsigned char byte = (unsigned char)s.p[i];
		bool plain = byte >= ' ' && byte < 0x7f;
		n += (size_t)snprintf(reason + n, 5, plain ? "%c" : "\\x%02x", byte);
	}
	return n;
}

static void keep_reason(const char *event, const struct log_pair *pairs)
{
	size_t n = put_reason(0, str_of(event));
	for (const char *gap = ": "; pairs->key; pairs++, gap = ", ") {
		char number[24];
		snprintf(number, sizeof number, "%lld", pairs->number);
		n = put_reason(n, str_of(gap));
		n = put_reason(n, str_of(pairs->key));
		n = put_reason(n, STR(" "));
		n = put_reason(n, pairs->text.p ? pairs->text : str_of(number));
	}
}

void ctl_log(const char *event, const struct log_pair *pairs)
{
	log_to(NULL);
	log_line("info", event, pairs);
	log_to(keep_reason);
}

const char *ctl_reason(const char *text)
{
	return *reason ? reason : text;
}

const char *ctl_status_text(enum status s)
{
	bool is_logged = s == STATUS_UNAVAILABLE || s == STATUS_INTERNAL;
	return is_logged ? ctl_reason(status_text(s)) : status_text(s);
}

int ctl_fail_status(struct ctl *c, int code, enum status s)
{
	return ctl_fail(c, code, ctl_status_text(s));
}

const char *ctl_access(struct ctl *c, enum access access, const char *problem)
{
	static const char *const texts[] = { [ACCESS_AWAY] = "away", [ACCESS_REFUSED] = "refused" };
	if (access != ACCESS_OK)
		return arena_printf(c->arena, "%s: %s", texts[access], problem);
	return problem ? problem : "ok";
}

int ctl_main(const struct command *table, int count, int argc, char **argv)
{
	commands = table;
	command_count = count;
	static struct program p = { .name = "seckillctl", .flags = "j", .flag = on_flag, .words = take_words };
	p.usage = usage(&p.arena);
	program_start(&p, argc, argv);
	if (!current)
		program_fail(&p, EXIT_USAGE, "no command; -h lists them");
	log_to(keep_reason);
	if (current->parts)
		program_open(&p, current->parts | JOIN_SHARED);
	if ((current->parts & WITH_REDIS) && !(current->parts & WITH_ANY_VERSION))
		program_check_versions(&p);
	struct ctl c = { .program = &p, .service = &p.service, .arena = &p.arena, .json = json };
	buf_init(&c.out, &p.arena);
	int code = current->run(&c, word_count, words);
	struct str out = buf_str(&c.out);
	fwrite(out.p, 1, out.n, stdout);
	bool is_written = fflush(stdout) == 0 && !ferror(stdout);
	if (!is_written)
		code = ctl_fail(&c, EXIT_SYSTEM,
				arena_printf(&p.arena, "the output could not be written: %s", strerror(errno)));
	if (current->parts)
		program_close(&p);
	return code;
}
