#include "it/rig.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "catalog/launch.h"
#include "catalog/supply.h"
#include "it/rig_db.h"

/* Runs between two that empty Redis: the keys of one sale are not met again. */
enum { FLUSH_EVERY = 50, SERVERS = 16 };

static struct options options = { .redis = "",
				  .runs = 1,
				  .units = 100,
				  .segments = 10,
				  .customers = 100,
				  .processes = 2,
				  .servers = "",
				  .homes = "random" };

static const struct {
	const char *name;
	int64_t *number;
	const char **text;
	const char *help;
} rows[] = {
	{ "redis", NULL, &options.redis, "as the setting has it: unix:PATH, tcp:..., cluster:...; it is emptied" },
	{ "runs", &options.runs, NULL, "sales, one after the other" },
	{ "seed", &options.seed, NULL, "of the first run; the next one has the next seed" },
	{ "units", &options.units, NULL, "" },
	{ "segments", &options.segments, NULL, "" },
	{ "customers", &options.customers, NULL, "who claim at once" },
	{ "late", &options.late, NULL, "who claim after that" },
	{ "add", &options.add, NULL, "units put on sale between the two" },
	{ "cancel", &options.cancel, NULL, "1: an order is cancelled about when the last unit is sold" },
	{ "processes", &options.processes, NULL, "which share the customers" },
	{ "concurrency", &options.concurrency, NULL, "claims under way in one process; 0: all" },
	{ "servers", NULL, &options.servers, "pids of the Redis servers, with commas: their CPU time is measured" },
	{ "homes", NULL, &options.homes, "random, one, each" },
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static _Noreturn void usage(void)
{
	fputs("usage: rig --redis REDIS [--NAME VALUE]...\n", stderr);
	for (int i = 0; i < ROWS; i++)
		fprintf(stderr, "  %-12s %s\n", rows[i].name, rows[i].help);
	exit(64);
}

static void read_options(char **argv)
{
	for (; argv[0]; argv += 2) {
		int i = 0;
		while (i < ROWS && strcmp(argv[0] + strspn(argv[0], "-"), rows[i].name) != 0)
			i++;
		if (i == ROWS || !argv[1])
			usage();
		if (rows[i].text)
			*rows[i].text = argv[1];
		else if (!parse_int(str_of(argv[1]), 0, INT64_MAX, rows[i].number))
			usage();
	}
	if (!*options.redis || !options.processes || !options.segments || options.segments > SEGMENTS_MAX)
		usage();
}

/* launch.c's keys come from the seed. */
static uint64_t random_state;

ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
	(void)flags;
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = (uint8_t)random_next(&random_state);
	return (ssize_t)size;
}

/* Memory that the processes share. */
static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		abort();
	return p;
}

static char stats[] = "/tmp/seckill-rig-board-XXXXXX";

static void remove_board(void)
{
	unlink(stats);
}

static void on_child(int signal)
{
	(void)signal;
	static const char text[] = "rig: a process ended\n";
	if (write(STDERR_FILENO, text, sizeof text - 1)) {
	}
	remove_board();
	_exit(1);
}

static void start_processes(const struct conf *conf, struct shared *s)
{
	pthread_barrierattr_t shared;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&s->barrier, &shared, (unsigned)options.processes + 1);
	signal(SIGCHLD, on_child);
	pid_t parent = getpid();
	for (int i = 0; i < options.processes; i++) {
		pid_t child = fork();
		if (child < 0)
			abort();
		if (child)
			continue;
		signal(SIGCHLD, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent) /* it ended before we asked to go with it */
			_exit(1);
		worker_run(conf, &options, s, i);
	}
}

static void flush_redis(struct service *svc, struct arena *a)
{
	struct redis_command c;
	redis_command(&c, "TIME");
	if (redis_call(svc->redis_sync, a, &c, NULL) != REDIS_ANSWER)
		exit(1);
	for (int i = 0; i < redis_servers(svc->redis_sync); i++) {
		redis_command(&c, "FLUSHALL");
		c.server = i;
		redis_send(svc->redis_sync, &c, NULL, NULL);
	}
	redis_wait_all(svc->redis_sync);
}

/* A new sale. */

static bool lives_right(const struct coupon *c, int64_t user, int64_t number)
{
	if (strcmp(options.homes, "random") == 0)
		return true;
	return coupon_home(c, user) == (strcmp(options.homes, "one") == 0 ? 0 : (int)(number % c->segments));
}

/* Sorted by user, which says nothing of their homes. */
static void draw_customers(const struct coupon *c, struct shared *s)
{
	int64_t count = options.customers + options.late;
	for (int64_t i = 0, user = 0; i < count; i++) {
		do
			user += 1 + (int64_t)(random_next(&random_state) % 1000000);
		while (!lives_right(c, user, i));
		s->customers[i] = (struct customer){ .user = user, .told = STATUS_OK, .late = i >= options.customers };
	}
}

/* Of the present sale: no two have the same. */
static char sale_name[32];

static void open_sale(struct service *svc, struct arena *a, struct shared *s, int64_t seed)
{
	struct refusal refusal = { 0 };
	snprintf(sale_name, sizeof sale_name, "sale-%lld", (long long)seed);
	struct coupon c = { .seller = 1,
			    .seller_name = STR("rig"),
			    .name = str_of(sale_name),
			    .amount = options.units,
			    .limit = 1,
			    .segments = (int)options.segments };
	random_state = (uint64_t)seed;
	enum status made = launch_create(svc, a, &c, NULL, &refusal);
	if (made != STATUS_CREATED) {
		fprintf(stderr, "rig: opening: %s\n", status_text(made));
		exit(1);
	}
	s->coupon = c.id;
	s->won = s->refused = s->busy = s->repeated = s->changed = s->failed = 0;
	s->first_refusal_ms = INT64_MAX;
	draw_customers(&c, s);
}

/* Stock is added while nobody claims, or returned while the last units are sold. */

static void supplied(struct service *svc, struct arena *a, enum status s, const struct supply_opening *o)
{
	if (s == STATUS_OK) {
		usleep((useconds_t)o->wait_ms * 1000);
		supply_open(svc, a, o);
		return;
	}
	fprintf(stderr, "rig: supply: %s\n", status_text(s));
	exit(1);
}

static void add_units(struct service *svc, struct arena *a)
{
	const struct supply_request request = { .seller = 1, .name = str_of(sale_name), .units = options.add };
	struct supply_opening o;
	enum status added = supply_add(svc, a, &request, &o);
	supplied(svc, a, added, &o);
}

static void cancel_order(struct service *svc, struct arena *a, const struct shared *s)
{
	int64_t early = (int64_t)(random_next(&random_state) % 4);
	while (s->won < options.units - early)
		usleep(20);
	rig_db_cancel();
	struct supply_opening o;
	enum status returned = supply_redo(svc, a, s->coupon, &o);
	supplied(svc, a, returned, &o);
}

/* Report */

static struct {
	int64_t won, refused, busy, repeated, problems, slowest_ms, late_won;
	uint64_t scripts[4];
	double seconds; /* of the first wave, as what follows */
	double cpu[SERVERS];
	int servers;
} total;

static const enum counter kinds[] = { COUNT_scripts_total__claim, COUNT_scripts_total__exchange,
				      COUNT_scripts_total__debit, COUNT_scripts_total__flag };

static void count_scripts(const struct stats *b, int sign)
{
	for (int i = 0; i < 4; i++)
		total.scripts[i] += (uint64_t)sign * stats_read(b, kinds[i]);
}

/* utime and stime of proc(5), in seconds. */
static double cpu_of(int64_t pid)
{
	char path[64], text[1024] = "";
	unsigned long user = 0, system = 0;
	snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
	FILE *f = fopen(path, "r");
	if (!f || !fgets(text, sizeof text, f) || !strrchr(text, ')') ||
	    sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		usage();
	fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void count_cpu(int sign)
{
	struct str rest = str_of(options.servers), word;
	int64_t pid;
	for (total.servers = 0; rest.n && total.servers < SERVERS; total.servers++) {
		if (!parse_split(&rest, ',', &word))
			word = rest, rest.n = 0;
		if (!parse_int(word, 1, INT64_MAX, &pid))
			usage();
		total.cpu[total.servers] += sign * cpu_of(pid);
	}
}

static void add_up(const struct shared *s)
{
	total.won += s->won;
	total.refused += s->refused;
	total.busy += s->busy;
	total.repeated += s->repeated;
}

static void report(void)
{
	printf("{\"runs\": %lld, \"won\": %lld, \"late_won\": %lld, \"refused\": %lld, \"repeated\": %lld, \"busy\": %lld, "
	       "\"slowest_ms\": %lld, \"seconds\": %.3f, \"problems\": %lld, ",
	       (long long)options.runs, (long long)total.won, (long long)total.late_won, (long long)total.refused,
	       (long long)total.repeated, (long long)total.busy, (long long)total.slowest_ms, total.seconds,
	       (long long)total.problems);
	printf("\"claim\": %llu, \"exchange\": %llu, \"debit\": %llu, \"flag\": %llu",
	       (unsigned long long)total.scripts[0], (unsigned long long)total.scripts[1],
	       (unsigned long long)total.scripts[2], (unsigned long long)total.scripts[3]);
	printf(", \"cpu_s\": [");
	for (int i = 0; i < total.servers; i++)
		printf("%s%.2f", i ? ", " : "", total.cpu[i]);
	puts("]}");
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_wave(struct service *svc, struct arena *a, struct shared *s, enum wave wave)
{
	s->wave = wave;
	int64_t won = s->won;
	pthread_barrier_wait(&s->barrier);
	if (wave == ALL_AT_ONCE) {
		count_scripts(svc->stats, -1);
		count_cpu(-1);
	}
	pthread_barrier_wait(&s->barrier);
	double began = now();
	if (wave == ALL_AT_ONCE && options.cancel)
		cancel_order(svc, a, s);
	pthread_barrier_wait(&s->barrier);
	if (wave == ALL_AT_ONCE) {
		total.seconds += now() - began;
		count_scripts(svc->stats, 1);
		count_cpu(1);
		if (options.add)
			add_units(svc, a);
	}
	if (wave == LATECOMERS)
		total.late_won += s->won - won;
}

static void run(struct service *svc, struct shared *s, int64_t number)
{
	int64_t seed = options.seed + number;
	struct arena a = { 0 };
	char wrong[200];
	if (number % FLUSH_EVERY == 0)
		flush_redis(svc, &a);
	open_sale(svc, &a, s, seed);
	for (enum wave wave = ALL_AT_ONCE; wave < WAVES; wave++)
		run_wave(svc, &a, s, wave);
	check_slots(svc, &a, &options, s, wrong);
	if (*wrong) {
		total.problems++;
		fprintf(stderr, "rig: seed %lld: %s\n", (long long)seed, wrong);
	}
	add_up(s);
	arena_release(&a);
}

/* The stats is a file of ours. */
static void make_conf(struct conf *conf)
{
	char text[300];
	int fd = mkstemp(stats);
	conf_init(conf);
	snprintf(text, sizeof text, "redis=%s", options.redis);
	conf_set(conf, text, "flag");
	snprintf(text, sizeof text, "board=%s", stats);
	conf_set(conf, text, "flag");
	conf_set(conf, "redis_timeout_ms=4000", "flag"); /* the machine may have other things to do */
	conf->coupons_per_seller = conf->segments_per_seller = conf->creations_per_minute = 0; /* MySQL is a fake */
	if (conf_ok(conf) && fd >= 0)
		return;
	fputs(buf_str(&conf->problems).p, stderr);
	exit(64);
}

int main(int argc, char **argv)
{
	struct conf conf;
	const char *problem = NULL;
	(void)argc;
	read_options(argv + 1);
	make_conf(&conf);
	size_t customers = (size_t)(options.customers + options.late);
	struct shared *s = map(sizeof *s + customers * sizeof s->customers[0]);
	start_processes(&conf, s);
	atexit(remove_board);
	struct service svc = { .conf = &conf, .loop_sync = loop_new() };
	svc.redis_sync = redis_new(svc.loop_sync, &conf, &problem);
	svc.stats = stats_open(conf.board, &problem);
	if (problem) {
		fprintf(stderr, "rig: %s\n", problem);
		exit(1);
	}
	for (int64_t i = 0; i < options.runs; i++)
		run(&svc, s, i);
	total.slowest_ms = s->slowest_ms;
	s->over = true;
	signal(SIGCHLD, SIG_DFL);
	pthread_barrier_wait(&s->barrier);
	while (wait(NULL) > 0)
		;
	report();
	return total.problems > 0;
}
