/* The commands migrate, config, routes and check; in test builds also faults. */
#include <errno.h>
#include <unistd.h>

#include "api/route.h"
#include "base/embed.h"
#include "ctl/ctl.h"
#include "host/fault.h"
#include "host/shared.h"
#include "store/layout.h"
#include "store/migrate.h"
#include "store/rights.h"

static const char takes_no_words[] = "this command takes options only";

int ctl_migrate(struct ctl *c, int argc, char **argv)
{
	struct migrations m = { .files = sql_files, .count = sql_file_count };
	const char *problem;
	(void)argv;
	if (argc)
		return ctl_wrong(c, takes_no_words);
	enum status s = migrate(c->service->db, c->arena, &m, &problem);
	if (s != STATUS_OK)
		return ctl_fail(c, s == STATUS_UNAVAILABLE ? EXIT_UNAVAILABLE : EXIT_SYSTEM, problem);
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_int(&c->out, "applied", m.applied);
		json_int(&c->out, "version", m.version);
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	} else {
		buf_printf(&c->out, "schema at version %d, %d applied now\n", m.version, m.applied);
	}
	return EXIT_HOLDS;
}

int ctl_config(struct ctl *c, int argc, char **argv)
{
	(void)argv;
	if (argc)
		return ctl_wrong(c, takes_no_words);
	conf_print(c->service->conf ? c->service->conf : &c->program->conf, &c->out, c->json);
	if (c->json)
		buf_puts(&c->out, "\n");
	return EXIT_HOLDS;
}

static void put_route(struct ctl *c, const struct route *r)
{
	static const char *const who[] = {
		"anyone", "token", "customer", "seller", "compat-customer", "compat-seller"
	};
	const char *pool = pool_name(r->pool);
	if (!c->json) {
		buf_printf(&c->out, "%-6s %-45s %-15s %-4s %5zu  %s\n", r->method, r->pattern, who[r->who], pool,
			   r->body_limit, r->help);
		return;
	}
	json_begin(&c->out, NULL, '{');
	json_str(&c->out, "method", str_of(r->method));
	json_str(&c->out, "path", str_of(r->pattern));
	json_str(&c->out, "who", str_of(who[r->who]));
	json_str(&c->out, "pool", str_of(pool));
	json_int(&c->out, "body_limit", (int64_t)r->body_limit);
	json_str(&c->out, "help", str_of(r->help));
	json_end(&c->out, '}');
}

int ctl_routes(struct ctl *c, int argc, char **argv)
{
	(void)argv;
	if (argc)
		return ctl_wrong(c, takes_no_words);
	if (c->json)
		json_begin(&c->out, NULL, '[');
	for (int i = 0; i < route_count; i++)
		put_route(c, &routes[i]);
	if (c->json) {
		json_end(&c->out, ']');
		buf_puts(&c->out, "\n");
	}
	return EXIT_HOLDS;
}

static void put_line(struct ctl *c, const char *what, const char *text)
{
	if (c->json)
		json_str(&c->out, what, str_of(text));
	else
		buf_printf(&c->out, "%-8s %s\n", what, text);
}

/* The result of one check. */
struct check {
	enum access access;
	const char *problem; /* NULL: none */
	const char *ok;      /* printed if there is no problem; NULL: "ok" */
};

/* Prints a line for a check, and raises *code to the check's exit code if that is worse. */
static void put_check(struct ctl *c, const char *what, struct check check, int *code)
{
	bool is_ok = check.access == ACCESS_OK && !check.problem;
	put_line(c, what, is_ok && check.ok ? check.ok : ctl_access(c, check.access, check.problem));
	if (check.access != ACCESS_OK)
		*code = EXIT_CANNOT_TELL;
	else if (check.problem && *code == EXIT_HOLDS)
		*code = EXIT_DOES_NOT_HOLD;
}

struct shared_file {
	const char *what, *path;
	enum counter unusable; /* gauge: 1 while a process cannot use the file */
};

/* The service may run as another user, so the gauge shows whether its processes can use the file. */
static void check_shared_file(struct ctl *c, const struct shared_file *file, const char *problem, int *code)
{
	if (!problem)
		problem = shared_owner_problem(file->path);
	if (!problem && stats_read(c->service->stats, file->unusable))
		problem = "a process of the service cannot use the file: see its log for the reason";
	problem = problem ? arena_printf(c->arena, "%s: %s", file->path, problem) : NULL;
	put_check(c, file->what, (struct check){ .problem = problem }, code);
}

/* Before the first start neither file exists. */
static void check_shared_files(struct ctl *c, int *code)
{
	const struct conf *conf = c->service->conf;
	if (access(conf->board, F_OK) < 0 && access(conf->marks, F_OK) < 0 && errno == ENOENT) {
		put_line(c, "board", "not there yet");
		put_line(c, "marks", "not there yet");
		return;
	}
	const char *problem;
	high_water_close(high_water_join(conf->marks, &problem));
	const struct shared_file board = { "board", conf->board, COUNT_private_memory__board };
	const struct shared_file marks = { "marks", conf->marks, COUNT_private_memory__marks };
	check_shared_file(c, &board, stats_problem(c->service->stats), code);
	check_shared_file(c, &marks, problem, code);
}

/* Whether the table can be read: without a right on it, the version is read as 0, too. */
static bool can_see_version(struct db *db, struct arena *a)
{
	struct db_rows rows;
	return db_query(db, a, "SELECT version FROM schema_migrations LIMIT 1", &rows) == 0;
}

static struct check check_schema(struct ctl *c)
{
	struct migrations m = { .files = sql_files, .count = sql_file_count };
	struct db *db = c->service->db;
	const char *problem = NULL;
	enum status s = migrate_read_version(db, c->arena, &m, &problem);
	if (s != STATUS_OK)
		return (struct check){ s == STATUS_UNAVAILABLE ? ACCESS_AWAY : ACCESS_REFUSED, problem, NULL };
	if (!m.version && !can_see_version(db, c->arena))
		problem = arena_printf(c->arena, "no version: %s; run seckillctl migrate, then docker/grants.sql",
				       db_error(db));
	else if (m.version != m.wanted)
		problem = arena_printf(
			c->arena, "at version %d, this program needs version %d: %s", m.version, m.wanted,
			m.version < m.wanted ? "run seckillctl migrate" : "start the program of the newer version");
	return (struct check){ .problem = problem };
}

/* An account must have the rights of the workers or of the drainers, or both. */
static struct check check_account(struct ctl *c)
{
	const char *problem[RIGHTS], *ok = NULL;
	bool away;
	for (enum rights r = 0; r < RIGHTS; r++) {
		problem[r] = rights_problem(c->service, c->arena, r, &away);
		if (away)
			return (struct check){ ACCESS_AWAY, db_error(c->service->db), NULL };
		if (!problem[r])
			ok = arena_printf(c->arena, "%s%s%s", ok ? ok : "ok for ", ok ? " and " : "", rights_name(r));
	}
	if (ok)
		return (struct check){ .ok = ok };
	return (struct check){ .problem = arena_printf(c->arena, "%s; %s", problem[RIGHTS_WORKERS],
						       problem[RIGHTS_DRAINERS]) };
}

static void check_redis(struct ctl *c, int *code)
{
	struct check servers = { .problem = NULL }, replicas = { .problem = NULL };
	servers.problem = durable_redis_problem(c->service, c->arena, &servers.access);
	put_check(c, "redis", servers, code);
	if (servers.access != ACCESS_OK)
		return;
	replicas.problem = durable_replicas_problem(c->service, c->arena, &replicas.ok);
	put_check(c, "replicas", replicas, code);
}

static void check_mysql(struct ctl *c, int *code)
{
	struct check server = { .problem = NULL };
	server.problem = durable_mysql_problem(c->service, c->arena, &server.access);
	put_check(c, "mysql", server, code);
	put_check(c, "schema", check_schema(c), code);
}

int ctl_check(struct ctl *c, int argc, char **argv)
{
	int code = EXIT_HOLDS;
	(void)argv;
	if (argc)
		return ctl_wrong(c, takes_no_words);
	if (c->json)
		json_begin(&c->out, NULL, '{');
	check_redis(c, &code);
	check_mysql(c, &code);
	put_check(c, "layout", (struct check){ .problem = layout_problem(c->service, c->arena) }, &code);
	put_check(c, "account", check_account(c), &code);
	check_shared_files(c, &code);
	if (c->json) {
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	}
	return code;
}

#ifdef FAULTS
int ctl_faults(struct ctl *c, int argc, char **argv)
{
	(void)argv;
	if (argc)
		return ctl_wrong(c, takes_no_words);
	for (int i = 0; i < FAULT_COUNT; i++)
		buf_printf(&c->out, "%s\t%s\n", fault_name(i), fault_when(i));
	return EXIT_HOLDS;
}
#endif
