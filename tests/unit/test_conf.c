/* Settings: layers, their order, and all mistakes in one run. */
#include "unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/conf.h"

static char path[] = "/tmp/seckill-conf-XXXXXX";

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static const char *file(const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	return path;
}

static size_t lines(const char *text)
{
	size_t n = 0;
	for (; text && *text; text++)
		n += *text == '\n';
	return n;
}

/* The line of a setting as `seckillctl config` shows it. */
static bool shows(const struct conf *c, const char *line)
{
	struct arena a;
	struct buf out;
	arena_init(&a);
	buf_init(&out, &a);
	conf_print(c, &out, false);
	bool found = strstr(out.p, line);
	arena_release(&a);
	return found;
}

static void defaults_are_good(void **state)
{
	(void)state;
	struct conf c;
	conf_init(&c);
	assert_true(conf_ok(&c));
	assert_int_equal(c.redis_timeout_ms, 1000);
	assert_true(c.require_durable);
	assert_string_equal(c.redis_user, "");
	assert_true(shows(&c, "redis_timeout_ms = 1000  # default\n"));
	conf_release(&c);
}

static void later_layers_win_and_say_so(void **state)
{
	(void)state;
	char path_set[] = "PATH=/bin", user[] = "SECKILL_MYSQL_USER=from-environment",
	     batch[] = "SECKILL_DRAIN_BATCH=7", of_dev[] = "SECKILL_PORT=8080";
	char *environment[] = { path_set, user, batch, of_dev, NULL };
	struct conf c;
	conf_init(&c);
	conf_load_file(&c, file("# a remark\n\n  mysql_user = from-file  \r\ndrain_batch=5\nredis_user = a = b\n"
				"mysql_database = last line without an end"));
	conf_load_environment(&c, environment);
	conf_set(&c, "drain_batch=9", "flag");
	expect(conf_ok(&c), "%s", c.problems.p);
	assert_string_equal(c.mysql_user, "from-environment");
	assert_int_equal(c.drain_batch, 9);
	assert_string_equal(c.redis_user, "a = b");
	assert_string_equal(c.mysql_database, "last line without an end");
	assert_true(shows(&c, "mysql_user = from-environment  # environment\n"));
	assert_true(shows(&c, "drain_batch = 9  # flag\n"));
	assert_true(shows(&c, ":5\n")); /* the file and its line */
	conf_release(&c);
}

static void every_mistake_is_reported(void **state)
{
	(void)state;
	char debug[] = "SECKILL_DEBUG=perhaps", *environment[] = { debug, NULL };
	static const char *const reported[] = { ":1:",         "no_such",     ":2:",     "token_ttl_s",
					    ":3:",         "drain_batch", ":4:",     "just some words",
					    "environment", "debug",       "perhaps", "flag",
					    "'x' is not",  "mysql_port" };
	struct conf c;
	conf_init(&c);
	conf_load_file(&c, file("no_such = 1\ntoken_ttl_s = soon\ndrain_batch = 0\njust some words\n"));
	conf_load_environment(&c, environment);
	conf_set(&c, "x", "flag");
	conf_set(&c, "mysql_port=65536", "flag");
	assert_false(conf_ok(&c));
	assert_int_equal(lines(c.problems.p), 7);
	for (size_t i = 0; i < COUNT_OF(reported); i++)
		expect(strstr(c.problems.p, reported[i]), "'%s' in:\n%s", reported[i], c.problems.p);
	/* and nothing changed */
	assert_int_equal(c.token_ttl_s, 43200);
	assert_int_equal(c.drain_batch, 1000);
	assert_int_equal(c.mysql_port, 3306);
	assert_false(c.debug);
	conf_release(&c);
}

static void values_are_bounded(void **state)
{
	(void)state;
	static const struct {
		const char *assignment;
		bool ok;
	} rows[] = {
		{ "mysql_port=1", true },
		{ "mysql_port=65535", true },
		{ "mysql_port=0", false },
		{ "mysql_port=65536", false },
		{ "mysql_port=-1", false },
		{ "mysql_port=", false },
		{ "mysql_port=80x", false },
		{ "mysql_port=8.0", false },
		{ "mysql_port=4294967376", false },
		{ "mysql_port=99999999999999999999", false },
		{ "debug=yes", true },
		{ "debug=OFF", true },
		{ "debug=1", true },
		{ "debug=", false },
		{ "debug=2", false },
		{ "redis_user=", true },
		{ "redis=", false },
		{ "mysql_user=", false },
		{ "redis_user=123456789012345678901234567890123456789012345678901234567890", true },
		{ "redis_user=1234567890123456789012345678901234567890123456789012345678901", false },
		{ "wait_replicas=auto", true },
		{ "wait_replicas=0", true },
		{ "wait_replicas=100", true },
		{ "wait_replicas=101", false },
		{ "wait_replicas=-1", false },
		{ "wait_replicas=Auto", false },
		{ "mysql_port=auto", false },
		{ "wait_replicas=", false },
		{ "sellers=open", true },
		{ "sellers=invited", true },
		{ "sellers=", false },
		{ "sellers=OPEN", false },
		{ "sellers=open|invited", false },
		{ "sellers=invite", false },
		{ "=1", false },
		{ "DEBUG=yes", false },
		{ "", false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct conf c;
		conf_init(&c);
		conf_set(&c, rows[i].assignment, "flag");
		expect(conf_ok(&c) == rows[i].ok, "'%s'", rows[i].assignment);
		conf_release(&c);
	}
}

static void a_file_that_cannot_be_read_is_a_mistake(void **state)
{
	(void)state;
	static const char *const paths[] = { "/nonexistent/seckill.conf", "/" };
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct conf c;
		conf_init(&c);
		conf_load_file(&c, paths[i]);
		expect(!conf_ok(&c), "%s", paths[i]);
		conf_release(&c);
	}
}

static void secrets_are_first_lines(void **state)
{
	(void)state;
	static const struct {
		const char *text, *secret;
	} rows[] = { { "hush\n", "hush" },   { "hush", "hush" }, { "hush\r\nmore\n", "hush" },
		     { " a b \n", " a b " }, { "", "" },         { "\nsecond\n", "" } };
	struct arena a;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *problem = NULL;
		assert_string_equal(conf_secret(&a, file(rows[i].text), &problem), rows[i].secret);
		assert_null(problem);
	}
	arena_release(&a);
}

static void a_secret_that_cannot_be_read_is_not_an_empty_one(void **state)
{
	(void)state;
	struct arena a;
	const char *problem = NULL;
	arena_init(&a);
	assert_string_equal(conf_secret(&a, "", &problem), "");
	assert_null(conf_secret(&a, "/nonexistent/secret", &problem));
	assert_non_null(strstr(problem, "/nonexistent/secret"));
	problem = NULL;
	assert_null(conf_secret(&a, "/", &problem)); /* a directory opens, and cannot be read */
	assert_non_null(problem);
	arena_release(&a);
}

static void a_secret_that_others_may_read_is_a_problem(void **state)
{
	(void)state;
	const struct {
		mode_t mode;
		bool ok;
	} rows[] = { { 0400, true },  { 0600, true },  { 0700, true },  { 0604, false }, { 0644, false },
		     { 0620, false }, { 0666, false }, { 0610, false }, { 0001, false }, { 0640, geteuid() == 0 } };
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct conf c;
		conf_init(&c);
		conf_set(&c, "redis_password_file=/nonexistent/file", "test");
		conf_set(&c, arena_printf(&c.arena, "token_key_file=%s", path), "test");
		assert_int_equal(chmod(path, rows[i].mode), 0);
		conf_check_secrets(&c);
		assert_int_equal(conf_ok(&c), rows[i].ok);
		assert_true(rows[i].ok || strstr(buf_str(&c.problems).p, "token_key_file: /tmp/seckill-conf-"));
		conf_release(&c);
	}
	chmod(path, 0600);
}

static void settings_are_shown_as_json(void **state)
{
	(void)state;
	struct conf c;
	struct buf out;
	conf_init(&c);
	conf_set(&c, "redis=unix:/tmp/\"x\"", "flag");
	conf_set(&c, "sellers=invited", "flag");
	buf_init(&out, &c.arena);
	conf_print(&c, &out, true);
	assert_non_null(strstr(out.p, "{\"redis\":{\"value\":\"unix:/tmp/\\\"x\\\"\",\"source\":\"flag\"},"));
	assert_non_null(strstr(out.p, "\"redis_timeout_ms\":{\"value\":1000,\"source\":\"default\"}"));
	assert_non_null(strstr(out.p, "\"sellers\":{\"value\":\"invited\",\"source\":\"flag\"}"));
	assert_non_null(strstr(out.p, "\"debug\":{\"value\":false,\"source\":\"default\"}}"));
	conf_release(&c);
}

static void help_names_every_setting(void **state)
{
	(void)state;
	static const char *const names[] = {
#define X(name, kind, def, min, max, help) "\n" #name " = " def "\n    " help "\n",
#include "host/conf.def"
#undef X
	};
	struct arena a;
	struct buf out;
	arena_init(&a);
	buf_init(&out, &a);
	buf_puts(&out, "\n");
	conf_help(&out);
	for (size_t i = 0; i < COUNT_OF(names); i++)
		expect(strstr(out.p, names[i]), "%s", names[i]);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_good),
		cmocka_unit_test(later_layers_win_and_say_so),
		cmocka_unit_test(every_mistake_is_reported),
		cmocka_unit_test(values_are_bounded),
		cmocka_unit_test(a_file_that_cannot_be_read_is_a_mistake),
		cmocka_unit_test(secrets_are_first_lines),
		cmocka_unit_test(a_secret_that_cannot_be_read_is_not_an_empty_one),
		cmocka_unit_test(a_secret_that_others_may_read_is_a_problem),
		cmocka_unit_test(settings_are_shown_as_json),
		cmocka_unit_test(help_names_every_setting),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
