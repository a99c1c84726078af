#include "host/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/parse.h"

enum { VALUE_ROOM = 16 };

/* How values of a kind are read and written. */
struct row;
static const struct kind {
	/* Sets the value at `at`. Returns NULL; or what the text must be, as a constant or in the arena. */
	const char *(*assign)(struct arena *a, const struct row *row, void *at, const char *value);
	/* Returns the text of the value at `at`, which may be in `room`. */
	const char *(*text)(const struct row *row, const void *at, char room[VALUE_ROOM]);
} text_kind, file_kind, int_kind, auto_int_kind, flag_kind, word_kind;

#define KIND_TEXT     &text_kind
#define KIND_INT      &int_kind
#define KIND_AUTO_INT &auto_int_kind
#define KIND_FLAG     &flag_kind
#define KIND_FILE     &file_kind
#define KIND_WORD     &word_kind

static const struct row {
	const char *name;
	const struct kind *kind;
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

static const struct row *row_find(const char *name, size_t n)
{
	for (int i = 0; i < ROWS; i++)
		if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
			return &rows[i];
	return NULL;
}

/* Kinds */

static const char *assign_text(struct arena *a, const struct row *row, void *at, const char *value)
{
	long length = (long)strlen(value);
	if (length < row->min || length > row->max)
		return arena_printf(a, "%ld to %ld characters", row->min, row->max);
	*(const char **)at = arena_strndup(a, value, (size_t)length);
	return NULL;
}

static const char *text_text(const struct row *row, const void *at, char room[VALUE_ROOM])
{
	(void)row, (void)room;
	return *(const char *const *)at;
}

static bool parse_number(const struct row *row, const char *value, int *number)
{
	char *end;
	errno = 0;
	long n = strtol(value, &end, 10);
	if (errno || end == value || *end || n < row->min || n > row->max)
		return false;
	*number = (int)n;
	return true;
}

static const char *assign_int(struct arena *a, const struct row *row, void *at, const char *value)
{
	return parse_number(row, value, at) ? NULL
					    : arena_printf(a, "a whole number from %ld to %ld", row->min, row->max);
}

static const char *int_text(const struct row *row, const void *at, char room[VALUE_ROOM])
{
	(void)row;
	snprintf(room, VALUE_ROOM, "%d", *(const int *)at);
	return room;
}

static const char *assign_auto_int(struct arena *a, const struct row *row, void *at, const char *value)
{
	if (strcmp(value, "auto") == 0)
		*(int *)at = CONF_AUTO;
	else if (!parse_number(row, value, at))
		return arena_printf(a, "a whole number from %ld to %ld or auto", row->min, row->max);
	return NULL;
}

static const char *auto_int_text(const struct row *row, const void *at, char room[VALUE_ROOM])
{
	return *(const int *)at == CONF_AUTO ? "auto" : int_text(row, at, room);
}

static const char *assign_flag(struct arena *a, const struct row *row, void *at, const char *value)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };
	(void)a, (void)row;
	for (int i = 0; i < 8; i++)
		if (strcasecmp(value, words[i]) == 0) {
			*(bool *)at = i & 1;
			return NULL;
		}
	return "yes or no";
}

static const char *flag_text(const struct row *row, const void *at, char room[VALUE_ROOM])
{
	(void)row, (void)room;
	return *(const bool *)at ? "yes" : "no";
}

/* The i-th word of a row; empty past the last one. */
static struct str word_at(const struct row *row, int i)
{
	struct str rest = str_of(row->def), word = { "", 0 };
	while (i-- >= 0)
		if (!parse_split(&rest, '|', &word))
			return STR("");
	return word;
}

static const char *assign_word(struct arena *a, const struct row *row, void *at, const char *value)
{
	struct str word;
	for (int i = 0; (word = word_at(row, i)).n; i++)
		if (str_eq(word, str_of(value))) {
			*(int *)at = i;
			return NULL;
		}
	return arena_printf(a, "one of %s", row->def);
}

static const char *word_text(const struct row *row, const void *at, char room[VALUE_ROOM])
{
	struct str word = word_at(row, *(const int *)at);
	snprintf(room, VALUE_ROOM, "%.*s", (int)word.n, word.p);
	return room;
}

static const struct kind text_kind = { assign_text, text_text };
static const struct kind file_kind = { assign_text, text_text }; /* the path of a secret */
static const struct kind int_kind = { assign_int, int_text };
static const struct kind auto_int_kind = { assign_auto_int, auto_int_text };
static const struct kind flag_kind = { assign_flag, flag_text };
static const struct kind word_kind = { assign_word, word_text };

static const char *row_assign(struct conf *c, const struct row *row, const char *value)
{
	return row->kind->assign(&c->arena, row, (char *)c + row->offset, value);
}

/* Layers */

void conf_init(struct conf *c)
{
	memset(c, 0, sizeof *c);
	arena_init(&c->arena);
	buf_init(&c->problems, &c->arena);
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].kind != &word_kind) /* the first word is 0 */
			row_assign(c, &rows[i], rows[i].def);
		c->source[i] = "default";
	}
}

void conf_release(struct conf *c)
{
	arena_release(&c->arena);
}

static void set_value(struct conf *c, const char *name, size_t n, const char *value, const char *source)
{
	const struct row *row = row_find(name, n);
	if (!row) {
		buf_printf(&c->problems, "%s: unknown setting '%.*s'\n", source, (int)n, name);
		return;
	}
	const char *wanted = row_assign(c, row, value);
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
	set_value(c, assignment, (size_t)(eq - assignment), eq + 1, source);
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
	set_value(c, name, strlen(name), trim(eq + 1), where);
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
				set_value(c, rows[i].name, n - 9, *e + n, "environment");
	}
}

bool conf_ok(const struct conf *c)
{
	return c->problems.n == 0;
}

void conf_check_secrets(struct conf *c)
{
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].kind != &file_kind)
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

/* Numbers and flags have no quotes in JSON. */
static void print_json(struct buf *out, const struct row *row, const char *value)
{
	if (row->kind == &flag_kind)
		json_bool(out, "value", *value == 'y');
	else if (row->kind == &int_kind || (row->kind == &auto_int_kind && *value != 'a'))
		json_int(out, "value", strtol(value, NULL, 10));
	else
		json_str(out, "value", str_of(value));
}

void conf_print(const struct conf *c, struct buf *out, bool json)
{
	char room[VALUE_ROOM];
	if (json)
		json_begin(out, NULL, '{');
	for (int i = 0; i < ROWS; i++) {
		const char *value = rows[i].kind->text(&rows[i], (const char *)c + rows[i].offset, room);
		if (!json) {
			buf_printf(out, "%s = %s  # %s\n", rows[i].name, value, c->source[i]);
			continue;
		}
		json_begin(out, rows[i].name, '{');
		print_json(out, &rows[i], value);
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
