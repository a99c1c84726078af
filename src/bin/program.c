#include "bin/program.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "account/token.h"
#include "base/embed.h"
#include "page/availability.h"
#include "host/log.h"
#include "lifecycle/webhook.h"
#include "sale/coupon.h"
#include "store/layout.h"

extern char **environ;

static volatile sig_atomic_t stopping;

static void on_stop(int signal)
{
	(void)signal;
	stopping = 1;
}

bool program_is_stopping(void)
{
	sigset_t pending; /* signals are delivered only while the loop waits, and a busy loop does not wait */
	return stopping ||
	       (sigpending(&pending) == 0 &&
		(sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT) || sigismember(&pending, SIGUSR1)));
}

void program_fail(struct program *p, int code, const char *problem)
{
	fprintf(stderr, "%s: %s\n", p->name, problem);
	exit(code);
}

_Noreturn void program_print(const char *text)
{
	bool printed = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
	exit(printed ? EXIT_SUCCESS : EXIT_SYSTEM);
}

_Noreturn void program_version(const struct program *p)
{
	char text[64];
	snprintf(text, sizeof text, "%s %s\n", p->name, PACKAGE_VERSION);
	program_print(text);
}

static _Noreturn void help(struct program *p)
{
	struct buf text;
	buf_init(&text, &p->arena);
	buf_printf(&text,
		   "usage: %s %s\n\n"
		   "  -c FILE         read settings from FILE\n"
		   "  -s NAME=VALUE   set one, over the file and SECKILL_NAME in the environment\n"
		   "  -t              check the settings, then exit\n"
		   "  -h, --help      this help\n"
		   "  -V, --version   the version\n\nsettings and their defaults:\n",
		   p->name, p->usage);
	conf_help(&text);
	program_print(buf_str(&text).p);
}

static _Noreturn void wrong_usage(struct program *p)
{
	fprintf(stderr, "usage: %s %s\n", p->name, p->usage);
	exit(EXIT_USAGE);
}

static void exit_on_problems(struct program *p)
{
	if (conf_ok(&p->conf))
		return;
	fputs(buf_str(&p->conf.problems).p, stderr);
	exit(EXIT_CONFIG);
}

enum { SETTINGS_MAX = 32 };

struct flags {
	const char *file, *settings[SETTINGS_MAX];
	int count;
	bool test;
};

static void read_flags(struct program *p, int argc, char **argv, struct flags *f)
{
	static const struct option longer[] = { { "help", no_argument, NULL, 'h' },
						{ "version", no_argument, NULL, 'V' },
						{ "json", no_argument, NULL, 'j' }, /* if flag() accepts it */
						{ 0 } };
	int flag;
	char flags[64];
	snprintf(flags, sizeof flags, "+c:s:thV%s", p->flags);
	while ((flag = getopt_long(argc, argv, flags, longer, NULL)) != -1) {
		if (flag == 'c')
			f->file = optarg;
		else if (flag == 's' && f->count < SETTINGS_MAX)
			f->settings[f->count++] = optarg;
		else if (flag == 't')
			f->test = true;
		else if (flag == 'h')
			help(p);
		else if (flag == 'V')
			program_version(p);
		else if (flag == '?' || !p->flag || !p->flag(flag, optarg))
			wrong_usage(p);
	}
}

static void read_settings(struct conf *c, const struct flags *f)
{
	conf_init(c);
	if (f->file)
		conf_load_file(c, f->file);
	conf_load_environment(c, environ);
	for (int i = 0; i < f->count; i++)
		conf_set(c, f->settings[i], "flag");
}

void program_start(struct program *p, int argc, char **argv)
{
	struct flags f = { 0 };
	read_flags(p, argc, argv, &f);
	if (p->words)
		p->words(p, argc - optind, argv + optind);
	else if (optind < argc)
		wrong_usage(p);
	read_settings(&p->conf, &f);
	exit_on_problems(p);
	if (f.test) {
		conf_check_secrets(&p->conf);
		exit_on_problems(p);
		exit(EXIT_SUCCESS);
	}
}

struct shared_file {
	const char *name, *path;
	enum counter gauge; /* 1 while a process of the service works without the file */
};

/* If a process cannot use a shared file, it works with memory of its own, because sales do not need the files. */
static void report_private(struct program *p, int parts, const struct shared_file *file, const char *problem)
{
	if (!problem)
		return;
	if (!(parts & JOIN_SHARED))
		stats_set(p->service.stats, file->gauge, 1);
	log_warn("private_memory", LOG_TEXT("file", file->name), LOG_TEXT("path", file->path),
		 LOG_TEXT("reason", problem));
}

static void open_shared(struct program *p, int parts)
{
	struct service *s = &p->service;
	const struct shared_file board = { "board", p->conf.board, COUNT_private_memory__board };
	const struct shared_file rates = { "board.rates", p->conf.board, COUNT_private_memory__rates };
	const struct shared_file marks = { "marks", p->conf.marks, COUNT_private_memory__marks };
	const char *problem;
	s->stats = (parts & JOIN_SHARED ? stats_join : stats_open)(board.path, &problem);
	log_count(s->stats);
	s->hashing = permits_open(board.path, p->conf.passwords_at_once);
	if (!(parts & JOIN_SHARED)) /* a command reports nothing in the stats that it could not join */
		report_private(p, parts, &board, problem);
	if ((parts & WITH_RATES) && p->conf.claims_per_second) {
		s->claim_rates = rates_open(board.path, &problem);
		report_private(p, parts, &rates, problem);
	}
	if (!(parts & WITH_MARKS))
		return;
	s->high_water = (parts & JOIN_SHARED ? high_water_join : high_water_open)(marks.path, &problem);
	report_private(p, parts, &marks, problem);
}

static void share_loop(struct service *s)
{
	loop_free(s->loop);
	s->loop = s->loop_sync;
	s->redis = s->redis_sync;
}

void program_open(struct program *p, int parts)
{
	struct service *s = &p->service;
	const char *problem = NULL;
	signal(SIGPIPE, SIG_IGN);
	log_open();
	prctl(PR_SET_DUMPABLE, 0); /* so that keys and passwords are not in core files */
	conf_check_secrets(&p->conf);
	exit_on_problems(p);
	s->conf = &p->conf;
	s->loop = loop_new();
	s->coupons = coupons_new();
	open_shared(p, parts);
	if ((parts & WITH_LOOP_REDIS) && !(s->redis = redis_new(s->loop, s->conf, &problem)))
		program_fail(p, EXIT_CONFIG, problem);
	if ((parts & WITH_REDIS) && !(s->redis_sync = redis_new(s->loop_sync = loop_new(), s->conf, &problem)))
		program_fail(p, EXIT_CONFIG, problem);
	if (parts & WITH_SYNC_ENGINE)
		share_loop(s);
	if (parts & WITH_DB)
		s->db = db_new(s->conf);
	if ((parts & WITH_DB) && !(parts & WITH_ANY_VERSION))
		db_require(s->db, sql_files[sql_file_count - 1].version);
	if ((parts & WITH_TOKENS) && !(s->tokens = tokens_new(s->conf, &p->arena, &problem)))
		program_fail(p, EXIT_CONFIG, problem);
	if ((parts & WITH_PAYMENT_KEYS) && !(s->payment_keys = webhook_keys_new(s->conf, &p->arena, &problem)))
		program_fail(p, EXIT_CONFIG, problem);
}

void program_check_versions(struct program *p)
{
	struct service *s = &p->service;
	const char *problem = s->db && db_open(s->db) && db_failure(s->db) == DB_SCHEMA ? db_error(s->db)
											: layout_problem(s, &p->arena);
	if (problem)
		program_fail(p, EXIT_CONFIG, problem);
}

void program_close(struct program *p)
{
	struct service *s = &p->service;
	if (s->redis != s->redis_sync)
		redis_free(s->redis);
	redis_free(s->redis_sync);
	if (s->db)
		db_free(s->db);
	coupons_free(s->coupons);
	availability_close(s);
	free(s->revocations);
	free(s->marker_watch);
	tokens_free(s->tokens);
	webhook_keys_free(s->payment_keys);
	log_count(NULL);
	stats_close(s->stats);
	high_water_close(s->high_water);
	permits_close(s->hashing);
	rates_close(s->claim_rates);
	if (s->loop != s->loop_sync)
		loop_free(s->loop);
	loop_free(s->loop_sync);
	arena_release(&p->arena);
	conf_release(&p->conf);
}

void program_signals(struct program *p)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGUSR1 /* multiwatch's graceful stop */ };
	static sigset_t before;
	sigset_t stop;
	struct sigaction action = { .sa_handler = on_stop };
	sigemptyset(&stop);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		sigaddset(&stop, signals[i]);
		sigaction(signals[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &stop, &before);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigdelset(&before, signals[i]);
	loop_signals(p->service.loop, &before);
	if (p->service.loop_sync)
		loop_signals(p->service.loop_sync, &before);
}
