/* migrate, config, routes, check; in test builds faults */
#include <errno.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/fault.h"
#include "base/shared.h"
#include "bin/ctl.h"
#include "http/route.h"
#include "sale/durable.h"
#include "sale/migrate.h"

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
	const char *pool = r->pool == POOL_HOT ? "hot" : "cold";
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
static void put_check(struct ctl *c, const char *what, bool away, const char *problem, int *code)
{
	put_line(c, what, away ? "away" : problem ? problem : "ok");
	if (away)
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
	if (!problem && board_read(c->service->board, gauge))
		problem = "a process of the service cannot use the file, its log says why";
	put_check(c, what, false, problem ? arena_printf(c->arena, "%s: %s", path, problem) : NULL, code);
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
	marks_close(marks_join(conf->marks, &problem));
	check_file(c, "board", conf->board, board_problem(c->service->board), COUNT_private_memory__board, code);
	check_file(c, "marks", conf->marks, problem, COUNT_private_memory__marks, code);
}

static const char *check_schema(struct ctl *c, bool *away)
{
	struct migration m;
	const char *problem = NULL;
	enum status s = migrate_look(c->service->db, c->arena, sql_files, sql_file_count, &m, &problem);
	*away = s == STATUS_UNAVAILABLE;
	if (s != STATUS_OK)
		return problem;
	return m.version >= m.wanted
		       ? NULL
		       : arena_printf(c->arena, "at version %d of %d: run seckillctl migrate", m.version, m.wanted);
}

int ctl_check(struct ctl *c, int argc, char **argv)
{
	int code = EXIT_HOLDS;
	bool away;
	(void)argv;
	if (argc)
		return ctl_usage(c);
	if (c->json)
		json_begin(&c->out, NULL, '{');
	const char *problem = durable_redis(c->service, c->arena, &away);
	put_check(c, "redis", away, problem, &code);
	problem = durable_mysql(c->service, c->arena, &away);
	put_check(c, "mysql", away, problem, &code);
	problem = check_schema(c, &away);
	put_check(c, "schema", away, problem, &code);
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
