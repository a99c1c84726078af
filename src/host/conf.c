/* One row per setting: where it lives in struct conf, its kind and its bounds. */
#include "host/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/parse.h"

enum kind { TEXT, INT, AUTO_INT, FLAG, FILE_, WORD };
#define KIND_TEXT     TEXT
#define KIND_INT      INT
#define KIND_AUTO_INT AUTO_INT
#define KIND_FLAG     FLAG
#define KIND_FILE     FILE_
#define KIND_WORD     WORD

static const struct row {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *def;
	long min, max;
	const char *help;
} rows[] = {
#define X(name, kind, def, min, max, help) { #name, KIND_##kind, offsetof(struct conf, name), def, min, max, help },
#include "host/conf.def"
#undef X
};

enum { ROWS = sizeof rows / sizeof rows[0] };
_Static_assert(ROWS <= sizeof((struct conf *)0)->source / sizeof(char *), "conf.source is too small");

static const struct row *find(const char *name, size_t n)
{
	for (int i = 0; i < ROWS; i++)
		if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
			return &rows[i];
	return NULL;
}

static bool parse_flag(const char *value, bool *flag)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };
	for (int i = 0; i < 8; i++)
		if (strcasecmp(value, words[i]) == 0) {
			*flag = i & 1;
			return true;
		}
	return false;
}

/* The i-th word of a row; an empty one past the last. */
static struct str word_at(const struct row *row, int i)
{
	struct str rest = str_of(row->def), word = { "", 0 };
	while (i-- >= 0)
		if (!parse_split(&rest, '|', &word))
			return STR("");
	return word;
}

static bool parse_word(const struct row *row, const char *value, int *number)
{
	struct str word;
	for (int i = 0; (word = word_at(row, i)).n; i++)
		if (str_eq(word, str_of(value))) {
			*number = i;
			return true;
		}
	return false;
}

/* NULL, or what the value must be. */
static const char *assign(struct conf *c, const struct row *row, const char *value)
{
	void *at = (char *)c + row->offset;
	if (row->kind == FLAG)
		return parse_flag(value, at) ? NULL : "yes or no";
	if (row->kind == WORD)
		return parse_word(row, value, at) ? NULL : arena_printf(&c->arena, "one of %s", row->def);
	if (row->kind == AUTO_INT && strcmp(value, "auto") == 0) {
		*(int *)at = CONF_AUTO;
		return NULL;
	}
	if (row->kind == INT || row->kind == AUTO_INT) {
		char *end;
		errno = 0;
		long n = strtol(value, &end, 10);
		if (errno || end == value || *end || n < row->min || n > row->max)
			return arena_printf(&c->arena, "a whole number from %ld to %ld%s", row->min, row->max,
					    row->kind == AUTO_INT ? " or auto" : "");
		*(int *)at = (int)n;
		return NULL;
	}
	long length = (long)strlen(value);
	if (length < row->min || length > row->max)
		return arena_printf(&c->arena, "%ld to %ld characters", row->min, row->max);
	*(const char **)at = arena_strndup(&c->arena, value, (size_t)length);
	return NULL;
}

void conf_init(struct conf *c)
{
	memset(c, 0, sizeof *c);
	arena_init(&c->arena);
	buf_init(&c->problems, &c->arena);
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].kind != WORD) /* the first word is 0 */
			assign(c, &rows[i], rows[i].def);
		c->source[i] = "default";
	}
}

void conf_release(struct conf *c)
{
	arena_release(&c->arena);
}

static void set(struct conf *c, const char *name, size_t n, const char *value, const char *source)
{
	const struct row *row = find(name, n);
	if (!row) {
		buf_printf(&c->problems, "%s: unknown setting '%.*s'\n", source, (int)n, name);
		return;
	}
	const char *wanted = assign(c, row, value);
	if (wanted)
		buf_printf(&c->problems, "%s: %s must be %s, not '%s'\n", source, row->name, wanted, value);
	else
		c->source[row - rows] = arena_strndup(&c->arena, source, strlen(source));
}

void conf_set(struct conf *c, const char *assignment, const char *source)
{
	const char *eq = strchr(assignment, '=');
	if (!eq) {
		buf_printf(&c->problems, "%s: '%s' is not name=value\n", source, assignment);
		return;
	}
	set(c, assignment, (size_t)(eq - assignment), eq + 1, source);
}

static char *trim(char *s)
{
	s += strspn(s, " \t\r\n");
	size_t n = strlen(s);
	while (n && strchr(" \t\r\n", s[n - 1]))
		s[--n] = '\0';
	return s;
}

static void load_line(struct conf *c, char *line, const char *where)
{
	line = trim(line);
	if (!*line || *line == '#')
		return;
	char *eq = strchr(line, '=');
	if (!eq) {
		buf_printf(&c->problems, "%s: '%s' is not name = value\n", where, line);
		return;
	}
	*eq = '\0';
	char *name = trim(line);
	set(c, name, strlen(name), trim(eq + 1), where);
}

void conf_load_file(struct conf *c, const char *path)
{
	FILE *f = fopen(path, "r");
	if (!f) {
		buf_printf(&c->problems, "%s: %s\n", path, strerror(errno));
		return;
	}
	char *line = NULL;
	size_t cap = 0;
	for (int number = 1; getline(&line, &cap, f) >= 0; number++)
		load_line(c, line, arena_printf(&c->arena, "%s:%d", path, number));
	if (ferror(f))
		buf_printf(&c->problems, "%s: %s\n", path, strerror(errno));
	free(line);
	fclose(f);
}

void conf_load_environment(struct conf *c, char **environment)
{
	for (int i = 0; i < ROWS; i++) {
		const char *name = arena_printf(&c->arena, "SECKILL_%s=", rows[i].name);
		size_t n = strlen(name);
		for (char **e = environment; *e; e++)
			if (strncasecmp(*e, name, n) == 0)
				set(c, rows[i].name, n - 9, *e + n, "environment");
	}
}

bool conf_ok(const struct conf *c)
{
	return c->problems.n == 0;
}

void conf_check_secrets(struct conf *c)
{
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].kind != FILE_)
			continue;
		const char *path = *(const char *const *)((const char *)c + rows[i].offset);
		struct stat st;
		if (!*path || stat(path, &st) < 0)
			continue;
		unsigned open = st.st_mode & (st.st_uid == 0 ? 037 : 077);
		if (open && S_ISREG(st.st_mode))
			buf_printf(&c->problems, "%s: %s is open to others (mode %04o): chmod 600 %s\n", rows[i].name,
				   path, st.st_mode & 07777, path);
	}
}

static const char *value_text(const struct conf *c, const struct row *row, char number[16])
{
	const void *at = (const char *)c + row->offset;
	if (row->kind == FLAG)
		return *(const bool *)at ? "yes" : "no";
	if (row->kind == WORD) {
		struct str word = word_at(row, *(const int *)at);
		snprintf(number, 16, "%.*s", (int)word.n, word.p);
		return number;
	}
	if (row->kind == AUTO_INT && *(const int *)at == CONF_AUTO)
		return "auto";
	if (row->kind != INT && row->kind != AUTO_INT)
		return *(const char *const *)at;
	snprintf(number, 16, "%d", *(const int *)at);
	return number;
}

void conf_print(const struct conf *c, struct buf *out, bool json)
{
	char number[16];
	if (json)
		json_begin(out, NULL, '{');
	for (int i = 0; i < ROWS; i++) {
		const char *value = value_text(c, &rows[i], number);
		if (!json) {
			buf_printf(out, "%s = %s  # %s\n", rows[i].name, value, c->source[i]);
			continue;
		}
		json_begin(out, rows[i].name, '{');
		if (rows[i].kind == INT || (rows[i].kind == AUTO_INT && *value != 'a'))
			json_int(out, "value", strtol(value, NULL, 10));
		else if (rows[i].kind == FLAG)
			json_bool(out, "value", *value == 'y');
		else
			json_str(out, "value", str_of(value));
		json_str(out, "source", str_of(c->source[i]));
		json_end(out, '}');
	}
	if (json)
		json_end(out, '}');
}

void conf_help(struct buf *out)
{
	for (int i = 0; i < ROWS; i++)
		buf_printf(out, "%s = %s\n    %s\n", rows[i].name, rows[i].def, rows[i].help);
}

const char *conf_secret(struct arena *a, const char *path, const char **problem)
{
	if (!*path)
		return "";
	FILE *f = fopen(path, "r");
	if (!f) {
		*problem = arena_printf(a, "%s: %s", path, strerror(errno));
		return NULL;
	}
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = getline(&line, &cap, f);
	bool failed = ferror(f);
	if (failed)
		*problem = arena_printf(a, "%s: %s", path, strerror(errno));
	fclose(f);
	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		n--;
	const char *secret = failed ? NULL : arena_strndup(a, line ? line : "", n > 0 ? (size_t)n : 0);
	if (line)
		explicit_bzero(line, cap);
	free(line);
	return secret;
}
