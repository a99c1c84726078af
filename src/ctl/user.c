/* The command user: adds and changes accounts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "account/password.h"
#include "account/user.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "sale/seller_index.h"

struct user_request {
	const char *name, *password_file;
	enum user_kind kind; /* 0: neither --seller nor --customer */
};

/* NULL, or what is wrong with the arguments. */
static const char *read_arguments(struct user_request *w, int argc, char **argv)
{
	bool seller = ctl_option("seller"), customer = ctl_option("customer");
	*w = (struct user_request){ .name = argv[0],
				    .password_file = ctl_option("password-file"),
				    .kind = seller     ? KIND_SELLER
					    : customer ? KIND_CUSTOMER
						       : 0 };
	if (argc != 1)
		return "name one user; a password is read from standard input or from --password-file";
	return seller && customer ? "say --seller or --customer, not both" : NULL;
}

/* Does not show a password that is typed at a terminal. */
static bool read_password_line(char *line, int size)
{
	struct termios before, quiet;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	if (terminal) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
		fputs("password: ", stderr);
	}
	bool ok = fgets(line, size, stdin) || feof(stdin);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputs("\n", stderr);
	}
	return ok;
}

/* Reads the first line of a file or of standard input. 0, or the exit code. */
static int read_password(struct ctl *c, const char *file, struct str *password)
{
	const char *problem = NULL, *text;
	if (file) {
		text = *file ? conf_secret(c->arena, file, &problem) : "";
		if (problem)
			return ctl_fail(c, EXIT_SYSTEM, problem);
	} else {
		enum { ROOM = PASSWORD_MAX + 3 };
		char *line = arena_alloc(c->arena, ROOM);
		if (!read_password_line(line, ROOM))
			return ctl_fail(c, EXIT_SYSTEM, strerror(errno));
		line[strcspn(line, "\r\n")] = '\0';
		text = line;
	}
	*password = str_of(text);
	if (password->n >= PASSWORD_MIN && password->n <= PASSWORD_MAX)
		return 0;
	return ctl_fail(c, EXIT_DOES_NOT_HOLD,
			arena_printf(c->arena, "a password has %d to %d bytes: choose another one", PASSWORD_MIN,
				     PASSWORD_MAX));
}

static int put_answer(struct ctl *c, enum status s, const char *name, const char *done)
{
	if (s != STATUS_OK)
		return ctl_fail(c, s == STATUS_UNAVAILABLE ? EXIT_UNAVAILABLE : EXIT_DOES_NOT_HOLD, ctl_status_text(s));
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_str(&c->out, "name", str_of(name));
		json_str(&c->out, "done", str_of(done));
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	} else {
		buf_printf(&c->out, "%s: %s\n", name, done);
	}
	return EXIT_HOLDS;
}

static int add_user(struct ctl *c, int argc, char **argv)
{
	struct user_request w = { 0 };
	struct str password;
	int64_t id;
	const char *problem = read_arguments(&w, argc, argv);
	if (problem || !w.kind)
		return ctl_wrong(c, problem ? problem : "add needs --seller or --customer");
	if (!parse_is_name(str_of(w.name)))
		return ctl_fail(
			c, EXIT_DOES_NOT_HOLD,
			"a name has 1 to 60 characters of UTF-8 without control characters or /, and is not . or ..");
	int code = read_password(c, w.password_file, &password);
	if (code)
		return code;
	const struct new_user u = { str_of(w.name), password, w.kind };
	enum status s = user_create(c->service, c->arena, &u, &id);
	if (s == STATUS_OK && w.kind == KIND_SELLER && seller_index_add(c->service, str_of(w.name), id) != STATUS_OK)
		fprintf(stderr, "%s: Redis is away, so the seller has no page before the first login\n", w.name);
	return put_answer(c, s, w.name, w.kind == KIND_SELLER ? "added as a seller" : "added as a customer");
}

static int set_password(struct ctl *c, int argc, char **argv)
{
	struct user_request w = { 0 };
	struct str password;
	const char *problem = read_arguments(&w, argc, argv);
	if (problem || w.kind)
		return ctl_wrong(c, problem ? problem : "--seller and --customer are options of add");
	int code = read_password(c, w.password_file, &password);
	if (code)
		return code;
	return put_answer(c, user_set_password(c->service, c->arena, str_of(w.name), password), w.name,
			  "has a new password");
}

static int disable_user(struct ctl *c, int argc, char **argv)
{
	struct user_request w = { 0 };
	const char *problem = read_arguments(&w, argc, argv);
	if (problem || w.kind || w.password_file)
		return ctl_wrong(c, problem ? problem : "disable takes no options");
	return put_answer(c, user_disable(c->service, c->arena, str_of(w.name)), w.name, "cannot log in any more");
}

static void put_seller(struct ctl *c, const struct seller *s)
{
	if (!c->json) {
		buf_printf(&c->out, "%.*s\t%lld\t%lld\t%lld\t%s\n", (int)s->name.n, s->name.p, (long long)s->id,
			   (long long)s->coupons, (long long)s->segments, s->can_log_in ? "yes" : "no");
		return;
	}
	json_begin(&c->out, NULL, '{');
	json_str(&c->out, "name", s->name);
	json_int(&c->out, "id", s->id);
	json_int(&c->out, "coupons", s->coupons);
	json_int(&c->out, "segments", s->segments);
	json_bool(&c->out, "can_log_in", s->can_log_in);
	json_end(&c->out, '}');
}

static int list_sellers(struct ctl *c, int argc, char **argv)
{
	enum { PAGE = 500 };
	struct sellers sellers;
	int64_t last = 0;
	(void)argv;
	if (argc)
		return ctl_wrong(c, "list takes no names");
	if (c->json)
		json_begin(&c->out, NULL, '[');
	do {
		struct arena page = { 0 };
		enum status s = user_list_sellers(c->service, &page, last, PAGE, &sellers);
		for (int i = 0; s == STATUS_OK && i < sellers.count; i++)
			put_seller(c, &sellers.at[i]);
		last = sellers.count ? sellers.at[sellers.count - 1].id : last;
		arena_release(&page);
		if (s != STATUS_OK) {
			c->out.n = 0;
			return ctl_fail_status(c, EXIT_UNAVAILABLE, s);
		}
	} while (sellers.count == PAGE);
	if (c->json) {
		json_end(&c->out, ']');
		buf_puts(&c->out, "\n");
	}
	return EXIT_HOLDS;
}

int ctl_user(struct ctl *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct ctl *c, int argc, char **argv);
	} verbs[] = {
		{ "add", add_user }, { "password", set_password }, { "disable", disable_user }, { "list", list_sellers }
	};
	for (size_t i = 0; argc && i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			return verbs[i].run(c, argc - 1, argv + 1);
	return ctl_wrong(c, "say add, password, disable or list");
}
