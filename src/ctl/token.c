/* The command token: issues tokens, for load tests and for operators. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/token.h"
#include "account/user.h"
#include "base/parse.h"
#include "ctl/ctl.h"

struct token_request {
	int64_t count; /* 0: the users are named */
	const char *prefix, *out;
	enum user_kind kind;
};

static bool read_kind(const char *word, enum user_kind *kind)
{
	*kind = !word || strcmp(word, "customer") == 0 ? KIND_CUSTOMER : KIND_SELLER;
	return !word || *kind == KIND_CUSTOMER || strcmp(word, "seller") == 0 || strcmp(word, "saler") == 0;
}

/* NULL, or what is wrong with the arguments. */
static const char *read_arguments(struct token_request *w, int names)
{
	const char *count = ctl_option("count");
	w->prefix = ctl_option("prefix");
	w->out = ctl_option("out");
	if (count && !parse_int(str_of(count), 1, 10000000, &w->count))
		return "--count takes a number from 1 to 10000000";
	if (w->prefix && (!parse_is_name(str_of(w->prefix)) || strlen(w->prefix) > 40))
		return "--prefix takes a name of 1 to 40 bytes";
	if (!count != !w->prefix)
		return "--count and --prefix need each other";
	if (!count == !names)
		return count ? "give names, or --count and --prefix, not both"
			     : "name users, or say --count and --prefix";
	return read_kind(ctl_option("kind"), &w->kind) ? NULL : "--kind is customer or seller";
}

static void put_token(struct ctl *c, struct arena *a, FILE *to, struct token *t)
{
	struct str jwt = token_issue(c->service->tokens, a, t);
	if (!c->json) {
		fprintf(to, "%.*s\t%lld\t%.*s\n", (int)t->name.n, t->name.p, (long long)t->user, (int)jwt.n, jwt.p);
		return;
	}
	struct buf line;
	buf_init(&line, a);
	json_begin(&line, NULL, '{');
	json_str(&line, "name", t->name);
	json_int(&line, "id", t->user);
	json_str(&line, "token", jwt);
	json_end(&line, '}');
	fprintf(to, "%s\n", line.p);
}

static int issue_to_names(struct ctl *c, FILE *to, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct user user;
		enum status s = user_find(c->service, c->arena, str_of(argv[i]), &user);
		if (s != STATUS_OK)
			return ctl_fail(c, s == STATUS_UNKNOWN_USER ? EXIT_DOES_NOT_HOLD : EXIT_UNAVAILABLE,
					arena_printf(c->arena, "%s: %s", argv[i], ctl_status_text(s)));
		struct token t = { .user = user.id, .name = str_of(argv[i]), .kind = user.kind };
		put_token(c, c->arena, to, &t);
	}
	return EXIT_HOLDS;
}

static int issue_to_many(struct ctl *c, FILE *to, const struct token_request *w)
{
	int64_t *ids = arena_alloc(c->arena, (size_t)w->count * sizeof *ids);
	enum status s = users_ensure(c->service, str_of(w->prefix), (int)w->count, w->kind, ids);
	if (s != STATUS_OK)
		return ctl_fail_status(c, s == STATUS_UNAVAILABLE ? EXIT_UNAVAILABLE : EXIT_DOES_NOT_HOLD, s);
	struct arena a = { 0 };
	for (int64_t i = 0; i < w->count; i++) {
		struct token t = { .user = ids[i], .kind = w->kind };
		t.name = str_of(arena_printf(&a, "%s%lld", w->prefix, (long long)i + 1));
		put_token(c, &a, to, &t);
		arena_reset(&a);
	}
	arena_release(&a);
	return EXIT_HOLDS;
}

/* The output: standard output, or a new file, which replaces the old file once it is complete. */
struct sink {
	FILE *to;
	const char *path; /* NULL: standard output */
	char *fresh;      /* the new file's path */
};

/* Tokens are secrets: they are not written through a link, nor into a file that others may have open. */
static const char *open_sink(struct sink *s, struct arena *a)
{
	struct stat st;
	s->to = stdout;
	if (!s->path)
		return NULL;
	if (lstat(s->path, &st) == 0 && !S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? "is a symbolic link: name the file itself"
					   : "is not a regular file: name another one";
	s->fresh = arena_printf(a, "%s.XXXXXX", s->path);
	int fd = mkostemp(s->fresh, O_CLOEXEC); /* O_EXCL, with mode 0600 */
	s->to = fd < 0 ? NULL : fdopen(fd, "w");
	return s->to ? NULL : strerror(errno);
}

/* NULL, or what is wrong. If `keep` is false, the new file is discarded and the old one kept. */
static const char *close_sink(struct sink *s, bool keep)
{
	bool lost = s->path ? fclose(s->to) : fflush(s->to);
	if (!s->path)
		return lost ? strerror(errno) : NULL;
	const char *problem = lost || (keep && rename(s->fresh, s->path)) ? strerror(errno) : NULL;
	if (problem || !keep)
		unlink(s->fresh);
	return problem;
}

int ctl_token(struct ctl *c, int argc, char **argv)
{
	struct token_request w = { 0 };
	const char *problem = read_arguments(&w, argc);
	if (problem)
		return ctl_wrong(c, problem);
	struct sink s = { .path = w.out };
	const char *where = w.out ? w.out : "standard output";
	problem = open_sink(&s, c->arena);
	if (problem)
		return ctl_fail(c, EXIT_SYSTEM, arena_printf(c->arena, "%s: %s", where, problem));
	int code = w.count ? issue_to_many(c, s.to, &w) : issue_to_names(c, s.to, argc, argv);
	problem = close_sink(&s, code == EXIT_HOLDS);
	if (problem && code == EXIT_HOLDS)
		return ctl_fail(c, EXIT_SYSTEM, arena_printf(c->arena, "%s: %s", where, problem));
	return code;
}
