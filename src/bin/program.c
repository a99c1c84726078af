#include "bin/program.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "account/token.h"
#include "base/embed.h"
#include "host/log.h"
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
	sigset_t pending; /* a loop that never has to wait lets no signal in */
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
		   "  -t              check the settings and leave\n"
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

static void leave_on_problems(struct program *p)
{
	if (conf_ok(&p->conf))
		return;
	fputs(buf_str(&p->conf.problems).p, stderr);
	exit(EXIT_CONFIG);
}

void program_start(struct program *p, int argc, char **argv)
{
	enum { SETTINGS = 32 };
	static const struct option longer[] = { { "help", no_argument, NULL, 'h' },
						{ "version", no_argument, NULL, 'V' },
						{ "json", no_argument, NULL, 'j' }, /* where flag() takes it */
						{ 0 } };
	const char *file = NULL, *settings[SETTINGS];
	int count = 0, flag;
	bool test = false;
	char flags[64];
	snprintf(flags, sizeof flags, "+c:s:thV%s", p->flags);
	while ((flag = getopt_long(argc, argv, flags, longer, NULL)) != -1) {
		if (flag == 'c')
			file = optarg;
		else if (flag == 's' && count < SETTINGS)
			settings[count++] = optarg;
		else if (flag == 't')
			test = true;
		else if (flag == 'h')
			help(p);
		else if (flag == 'V')
			program_version(p);
		else if (flag == '?' || !p->flag || !p->flag(flag, optarg))
			wrong_usage(p);
	}
	if (p->words)
		p->words(p, argc - optind, argv + optind);
	else if (optind < argc)
		wrong_usage(p);
	conf_init(&p->conf);
	if (file)
		conf_load_file(&p->conf, file);
	conf_load_environment(&p->conf, environ);
	for (int i = 0; i < count; i++)
		conf_set(&p->conf, settings[i], "flag");
	leave_on_problems(p);
	if (test) {
		conf_check_secrets(&p->conf);
		leave_on_problems(p);
		exit(EXIT_SUCCESS);
	}
}

/* A process that cannot use a file goes on with memory of its own: a sale needs neither. A tool's is no trouble. */
static void use_own(struct program *p, int parts, const char *file, const char *path, const char *problem,
		    enum counter gauge)
{
	if (!problem)
		return;
	if (!(parts & JOIN_SHARED))
		stats_set(p->service.stats, gauge, 1);
	log_warn("private_memory", LOG_TEXT("file", file), LOG_TEXT("path", path), LOG_TEXT("reason", problem));
}

static void open_shared(struct program *p, int parts)
{
	struct service *s = &p->service;
	const char *problem;
	s->stats = (parts & JOIN_SHARED ? stats_join : stats_open)(p->conf.board, &problem);
	log_count(s->stats);
	if (!(parts & JOIN_SHARED))
		use_own(p, parts, "board", p->conf.board, problem, COUNT_private_memory__board);
	if (!(parts & WITH_MARKS))
		return;
	s->high_water = (parts & JOIN_SHARED ? high_water_join : high_water_open)(p->conf.marks, &problem);
	use_own(p, parts, "marks", p->conf.marks, problem, COUNT_private_memory__marks);
}

void program_open(struct program *p, int parts)
{
	struct service *s = &p->service;
	const char *problem = NULL;
	signal(SIGPIPE, SIG_IGN);
	log_open();
	prctl(PR_SET_DUMPABLE, 0); /* keys and passwords stay out of core files */
	conf_check_secrets(&p->conf);
	leave_on_problems(p);
	s->conf = &p->conf;
	s->loop = loop_new();
	s->coupons = coupons_new();
	open_shared(p, parts);
	if ((parts & WITH_LOOP_REDIS) && !(s->redis = redis_new(s->loop, s->conf, &problem)))
		program_fail(p, EXIT_CONFIG, problem);
	if ((parts & WITH_REDIS) && !(s->redis_sync = redis_new(s->loop_sync = loop_new(), s->conf, &problem)))
		program_fail(p, EXIT_CONFIG, problem);
	if (parts & WITH_DB)
		s->db = db_new(s->conf);
	if ((parts & WITH_DB) && !(parts & WITH_ANY_VERSION))
		db_require(s->db, sql_files[sql_file_count - 1].version);
	if ((parts & WITH_TOKENS) && !(s->tokens = tokens_new(s->conf, &p->arena, &problem)))
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
	redis_free(s->redis);
	redis_free(s->redis_sync);
	if (s->db)
		db_free(s->db);
	coupons_free(s->coupons);
	tokens_free(s->tokens);
	log_count(NULL);
	stats_close(s->stats);
	high_water_close(s->high_water);
	loop_free(s->loop);
	loop_free(s->loop_sync);
	arena_release(&p->arena);
	conf_release(&p->conf);
}

void program_signals(struct program *p)
{
	static sigset_t before;
	sigset_t stop;
	struct sigaction action = { .sa_handler = on_stop };
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGUSR1);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL); /* multiwatch's graceful signal */
	sigprocmask(SIG_BLOCK, &stop, &before);
	sigdelset(&before, SIGTERM);
	sigdelset(&before, SIGINT);
	sigdelset(&before, SIGUSR1);
	loop_signals(p->service.loop, &before);
	if (p->service.loop_sync)
		loop_signals(p->service.loop_sync, &before);
}
