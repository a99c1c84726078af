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
	struct str key;        /* the first key, which decides the server; p is NULL: any server may answer */
	int server;            /* -1, or the number of the server that must answer, for questions about a server */
	size_t incarnation_at; /* where in `text` the incarnation is, or 0 */
	bool batch, overlong;
	int keys;        /* of a batch: how many words are keys; they come first */
	size_t keys_end; /* of a batch: where in `text` the keys end */
	int argc;
	size_t used;
	char text[REDIS_TEXT_MAX]; /* the words in RESP: "$3\r\nGET\r\n" */
};

/* A plain command starts with its name; a script call with its keys, all in one hash slot. */
void redis_command(struct redis_command *c, const char *name);
void redis_script(struct redis_command *c, const struct redis_script *s, int keys);
/*
 * Begins a call of a script that can execute many calls at once. Calls of one turn of the loop that have the same
 * number of keys and arguments (and, in a cluster, the same hash slot) are sent as one EVALSHA. KEYS are the keys of
 * all calls; ARGV is the number of calls, then the arguments of all. The reply is a list with a reply for each call, in
 * their order. Keys must be put before other words.
 */
void redis_batch(struct redis_command *c, const struct redis_script *s);
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
