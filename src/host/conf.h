/*
 * Settings from one table, conf.def: default, then the file, then the
 * environment (SECKILL_NAME), then flags (-s name=value). Each value
 * remembers where it came from.
 */
#ifndef HOST_CONF_H
#define HOST_CONF_H

#include "base/arena.h"
#include "base/buf.h"

/* The words of settings that have some, in the order of the table. */
enum { SELLERS_OPEN, SELLERS_INVITED };

/* The value of a number that may be "auto", when it is. */
enum { CONF_AUTO = -1 };

struct conf {
#define X(name, kind, def, min, max, help) CONF_##kind name;
#define CONF_TEXT                          const char *
#define CONF_FILE                          const char *
#define CONF_INT                           int
#define CONF_AUTO_INT                      int /* or CONF_AUTO */
#define CONF_FLAG                          bool
#define CONF_WORD                          int /* which of them, from 0 */
#include "host/conf.def"
#undef X
#undef CONF_TEXT
#undef CONF_FILE
#undef CONF_INT
#undef CONF_AUTO_INT
#undef CONF_FLAG
#undef CONF_WORD
	const char *source[64]; /* by row of the table: "default", "file", "environment", "flag" */
	struct arena arena;     /* owns the texts */
	struct buf problems;    /* a line each; empty when all is well */
};

/* The largest value of each setting, as CONF_MAX_token_ttl_s; of a text, its longest. */
enum conf_max {
#define X(name, kind, def, min, max, help) CONF_MAX_##name = (max),
#include "host/conf.def"
#undef X
};

/* Defaults only. Cannot fail. */
void conf_init(struct conf *c);
void conf_release(struct conf *c);

/*
 * Each adds a layer. Bad names and values become lines in c->problems, all
 * of them, and leave the setting as it was.
 */
void conf_load_file(struct conf *c, const char *path);
void conf_load_environment(struct conf *c, char **environment);
void conf_set(struct conf *c, const char *assignment, const char *source); /* "name=value" */

bool conf_ok(const struct conf *c);

/*
 * Looks at the files that hold secrets: one that others may read becomes a line in c->problems. As PostgreSQL has it:
 * 0600 or less, or 0640 when root owns it. A file that is missing is no problem here; whoever reads it says so.
 */
void conf_check_secrets(struct conf *c);

/* Every setting, one a line "name = value # source"; as JSON when json. Secrets are paths, so nothing is hidden. */
void conf_print(const struct conf *c, struct buf *out, bool json);
/* Every setting with its default and its line of help, as for a manual. */
void conf_help(struct buf *out);

/*
 * The first line of a secret file, without its end of line, in the arena. "" for an empty path.
 * NULL when it cannot be read; *problem then says why.
 */
const char *conf_secret(struct arena *a, const char *path, const char **problem);

#endif
