/* Builds commands and script calls word by word. Callers include redis/redis.h. */
#ifndef RESP_COMMAND_H
#define RESP_COMMAND_H

#include <stdint.h>

#include "base/str.h"

/* A Lua script: its text and its SHA1, made at build time from lua/NAME.lua. */
struct redis_script {
	const char *name, *text, *sha1;
};

/*
 * A command under construction. Words are copied when they are put; there is room for 48 words and 4 KB. Callers limit
 * the words that they build themselves, but a word that was read from a store may have any length. If a word does not
 * fit, the command becomes `overlong`: it is not sent, and ends as REDIS_BROKEN.
 */
enum { REDIS_WORDS = 48, REDIS_TEXT_MAX = 4096 + REDIS_WORDS * 16 };

struct redis_command {
	const struct redis_script *script; /* NULL for a plain command */
	struct redis_common *common;       /* NULL unless it is a call in a batch */
	struct str key;        /* the first key, which decides the server; p is NULL: any server may answer */
	int server;            /* -1, or the number of the server that must answer, for questions about a server */
	size_t incarnation_at; /* where in `text` the incarnation is, or 0 */
	bool overlong;
	int keys;        /* how many words were put with redis_put_key */
	size_t keys_end; /* where in `text` the last of them ends */
	int argc;
	size_t used;
	char text[REDIS_TEXT_MAX]; /* the words in RESP: "$3\r\nGET\r\n" */
};

/* A plain command starts with its name; a script call with its keys, all in one hash slot. */
void redis_command(struct redis_command *c, const char *name);
void redis_script(struct redis_command *c, const struct redis_script *s, int keys);
/*
 * Calls of a script that can execute many calls at once, in groups that have words in common: made once, and used by
 * many calls. Calls that are sent while an earlier one is on its way (in a cluster, those of one hash slot) leave as
 * one EVALSHA, and those whose common words are equal are a group in it. KEYS are the keys of each group; ARGV is the
 * number of groups, then for each of them the number of its calls, its other common words, and the own words of each
 * call. The reply is a list with a reply for each call. All calls of a script have as many words of each kind.
 */
struct redis_common {
	const struct redis_script *script;
	struct str key; /* the first one */
	int keys, words;
	size_t keys_end, length, incarnation_at; /* as in the command from which it was made */
	bool overlong;
	int holders;
	char text[];
};

/* Begins the common words: keys first, then others. */
void redis_batch(struct redis_command *c, const struct redis_script *s);
/* Makes them; the caller holds them, and so does each call until it ends. */
struct redis_common *redis_common_new(const struct redis_command *c);
struct redis_common *redis_common_hold(struct redis_common *common);
void redis_common_drop(struct redis_common *common); /* NULL is allowed */
/* Begins a call, of which the own words follow. Keeps a pointer to the common words until the command is sent. */
void redis_batch_call(struct redis_command *c, struct redis_common *common);

void redis_put(struct redis_command *c, struct str word);
/* Puts a key as the next word. All keys of a command must be in one hash slot. */
void redis_put_key(struct redis_command *c, struct str key);
void redis_put_int(struct redis_command *c, int64_t value);
void redis_put_text(struct redis_command *c, const char *word);

/*
 * Puts a word "BEFORE@INCARNATION". When the command is sent, INCARNATION becomes that of the server that receives it:
 * 8 characters of its run_id and 8 of its master_replid, from INFO; zeros if the server does not give them. A command
 * may have one such word. BEFORE has up to 32 characters.
 */
enum { REDIS_INCARNATION = 16, REDIS_INCARNATION_BEFORE = 32 };
void redis_put_incarnation(struct redis_command *c, struct str before);

#endif
