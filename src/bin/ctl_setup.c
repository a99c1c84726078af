/* migrate, config, routes, check; in test builds faults */
#include <errno.h>
#include <unistd.h>

#include "base/embed.h"
#include "bin/ctl.h"
#include "host/fault.h"
#include "host/shared.h"
#include "http/route.h"
#include "store/layout.h"
#include "store/migrate.h"
#include "store/rights.h"

int ctl_migrate(struct ctl *c, int argc, char **argv)
{
	struct migration m;
	const char *problem;
	(void)argv;
	if (argc)
		return ctl_usage(c);
	enum status s = migrate(c->service->db, c->arena, sql_files, sql_file_count, &m, &problem);
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
		return ctl_usage(c);
	conf_print(c->service->conf ? c->service->conf : &c->program->conf, &c->out, c->json);
	if (c->json)
		buf_puts(&c->out, "\n");
	return EXIT_HOLDS;
}

static void put_route(struct ctl *c, const struct route *r)
{
	static const char *const who[] = {
		"anyone", "token", "customer", "seller", "course-customer", "course-seller"
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
		return ctl_usage(c);
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

/* One line of check; adds to the worst of the exit codes. */
static void put_check(struct ctl *c, const char *what, enum access access, const char *problem, const char *ok,
		      int *code)
{
	put_line(c, what, access == ACCESS_OK && !problem ? ok : ctl_access(c, access, problem));
	if (access != ACCESS_OK)
		*code = EXIT_CANNOT_TELL;
	else if (problem && *code == EXIT_HOLDS)
		*code = EXIT_DOES_NOT_HOLD;
}

/* A file that the service's processes share; the service may run as another user than we do. */
static void check_file(struct ctl *c, const char *what, const char *path, const char *problem, enum counter gauge,
		       int *code)
{
	if (!problem)
		problem = shared_owner_problem(path);
	if (!problem && stats_read(c->service->stats, gauge))
		problem = "a process of the service cannot use the file, its log says why";
	put_check(c, what, ACCESS_OK, problem ? arena_printf(c->arena, "%s: %s", path, problem) : NULL, "ok", code);
}

/* Before the first start neither file is there, and that is right. */
static void check_files(struct ctl *c, int *code)
{
	const struct conf *conf = c->service->conf;
	if (access(conf->board, F_OK) < 0 && access(conf->marks, F_OK) < 0 && errno == ENOENT) {
		put_line(c, "board", "not there yet");
		put_line(c, "marks", "not there yet");
		return;
	}
	const char *problem;
	high_water_close(high_water_join(conf->marks, &problem));
	check_file(c, "board", conf->board, stats_problem(c->service->stats), COUNT_private_memory__board, code);
	check_file(c, "marks", conf->marks, problem, COUNT_private_memory__marks, code);
}

/* The version counts as 0 where the account does not see the table; only a look at that tells. */
static bool can_see_version(struct db *db, struct arena *a)
{
	struct db_rows rows;
	return db_query(db, a, "SELECT version FROM schema_migrations LIMIT 1", &rows) == 0;
}

static const char *check_schema(struct ctl *c, enum access *access)
{
	struct migration m;
	struct db *db = c->service->db;
	const char *problem = NULL;
	enum status s = migrate_look(db, c->arena, sql_files, sql_file_count, &m, &problem);
	*access = s == STATUS_OK ? ACCESS_OK : s == STATUS_UNAVAILABLE ? ACCESS_AWAY : ACCESS_REFUSED;
	if (s != STATUS_OK)
		return problem;
	if (!m.version && !can_see_version(db, c->arena))
		return arena_printf(c->arena, "no version: %s; run seckillctl migrate, then docker/grants.sql",
				    db_error(db));
	if (m.version == m.wanted)
		return NULL;
	return arena_printf(c->arena, "at version %d, this program needs version %d: %s", m.version, m.wanted,
			    m.version < m.wanted ? "run seckillctl migrate" : "start the program of the newer version");
}

/* Whose work the account may do; one of the two is enough. */
static const char *check_account(struct ctl *c, const char **ok, bool *away)
{
	const char *problem[RIGHTS];
	*ok = NULL;
	for (enum rights r = 0; r < RIGHTS; r++) {
		problem[r] = rights_problem(c->service, c->arena, r, away);
		if (*away)
			return NULL;
		if (!problem[r])
			*ok = arena_printf(c->arena, "%s%s%s", *ok ? *ok : "ok for ", *ok ? " and " : "",
					   rights_name(r));
	}
	return *ok ? NULL : arena_printf(c->arena, "%s; %s", problem[RIGHTS_WORKERS], problem[RIGHTS_DRAINERS]);
}

int ctl_check(struct ctl *c, int argc, char **argv)
{
	int code = EXIT_HOLDS;
	enum access access;
	const char *ok;
	bool away;
	(void)argv;
	if (argc)
		return ctl_usage(c);
	if (c->json)
		json_begin(&c->out, NULL, '{');
	const char *problem = durable_redis(c->service, c->arena, &access);
	put_check(c, "redis", access, problem, "ok", &code);
	if (access == ACCESS_OK) {
		problem = durable_replicas(c->service, c->arena, &ok);
		put_check(c, "replicas", ACCESS_OK, problem, ok, &code);
	}
	problem = durable_mysql(c->service, c->arena, &access);
	put_check(c, "mysql", access, problem, "ok", &code);
	problem = check_schema(c, &access);
	put_check(c, "schema", access, problem, "ok", &code);
	put_check(c, "layout", ACCESS_OK, layout_problem(c->service, c->arena), "ok", &code);
	problem = check_account(c, &ok, &away);
	if (away)
		problem = db_error(c->service->db);
	put_check(c, "account", away ? ACCESS_AWAY : ACCESS_OK, problem, ok, &code);
	check_files(c, &code);
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
		return ctl_usage(c);
	for (int i = 0; i < FAULT_COUNT; i++)
		buf_printf(&c->out, "%s\t%s\n", fault_name(i), fault_when(i));
	return EXIT_HOLDS;
}
#endif
