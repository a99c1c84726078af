/*
 * The settings of the table conf.def. A value comes from the default, the file, the environment (SECKILL_NAME) or a
 * flag
 * (-s name=value); a later one in this list replaces an earlier one. The source of each value is kept.
 */
#ifndef HOST_CONF_H
#define HOST_CONF_H

#include "base/arena.h"
#include "base/buf.h"

/* The values of WORD settings, in the order of the table. */
enum { SELLERS_OPEN, SELLERS_INVITED };

/* The value of an AUTO_INT setting that is "auto". */
enum { CONF_AUTO = -1 };

struct conf {
#define X(name, kind, def, min, max, help) CONF_##kind name;
#define CONF_TEXT                          const char *
#define CONF_FILE                          const char *
#define CONF_INT                           int
#define CONF_AUTO_INT                      int /* or CONF_AUTO */
#define CONF_FLAG                          bool
#define CONF_WORD                          int /* which word, from 0 */
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
	struct buf problems;    /* a line for each problem; empty without one */
};

/* The largest value of each setting, for example CONF_MAX_token_ttl_s; of a text, the largest length. */
enum conf_max {
#define X(name, kind, def, min, max, help) CONF_MAX_##name = (max),
#include "host/conf.def"
#undef X
};

/* Sets the defaults. Cannot fail. */
void conf_init(struct conf *c);
void conf_release(struct conf *c);

/* Each sets values from one source. A bad name or value becomes a line in c->problems, and changes no setting. */
void conf_load_file(struct conf *c, const char *path);
void conf_load_environment(struct conf *c, char **environment);
void conf_set(struct conf *c, const char *assignment, const char *source); /* "name=value" */

bool conf_ok(const struct conf *c);

/*
 * Checks the modes of the files with secrets: a file that others may read becomes a line in c->problems. The rule is
 * that of PostgreSQL: 0600 or less, or 0640 when root owns the file. A missing file is reported only by conf_secret.
 */
void conf_check_secrets(struct conf *c);

/*
 * Writes all settings, as lines "name = value # source" or as a JSON object. They have no secrets, which are in files.
 */
void conf_print(const struct conf *c, struct buf *out, bool json);
/* Writes all settings with default and help, for a manual. */
void conf_help(struct buf *out);

/* The first line of a file, in the arena; "" for an empty path. NULL: it cannot be read, and *problem says why. */
const char *conf_secret(struct arena *a, const char *path, const char **problem);

#endif
