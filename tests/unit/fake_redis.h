/*
 * redis/redis.h without a server: commands wait in a queue until the test reads the oldest one as text and answers it.
 * Replaces the files of src/redis at link time; commands and replies are those of src/resp.
 */
#ifndef UNIT_FAKE_REDIS_H
#define UNIT_FAKE_REDIS_H

#include "redis/redis.h"

/*
 * How many commands wait for an answer, and the oldest of them: "HGET KEY FIELD", a script as
 * "claim KEY KEY KEY | ARG ARG", "" when there is none; valid until the next call of this file.
 */
int fake_redis_waiting(void);
const char *fake_redis_oldest(void);

/*
 * Ends the oldest command with a reply, or without one: "!refused", "!unknown", "!broken". A reply is written as words. A
 * number is an integer, or a text behind a colon, ":12"; "nil" is nil; several words are a list, "[x" is a list of one,
 * "[]" an empty one. For a call of redis_batch, which is sent alone here, all words are one text.
 */
void fake_redis_answer(const char *reply);

/* Ends the oldest command with a list of texts, which may have any bytes. */
void fake_redis_answer_texts(const struct str *texts, size_t count);

/* Moves the oldest command behind all others. */
void fake_redis_later(void);

/* Ends the oldest command with a reply of SCAN: a cursor, and a list of texts. */
void fake_redis_answer_page(const char *cursor, const struct str *texts, size_t count);

/* Called while redis_call and redis_wait_all wait: answers the oldest command. NULL: refuses all. */
extern void (*fake_redis_server)(void);

/* While down, redis_send ends every command at once as REDIS_REFUSED, as without a connection. */
void fake_redis_down(bool down);

/* The setting wait_replicas is 1: "WAIT" is then a command in the queue, too. */
extern bool fake_redis_may_wait;

/* One server holds all keys. Else, as in a cluster, a command has keys of one hash slot. */
extern bool fake_redis_is_single;

/* Resets all of this; no command must be waiting. */
void fake_redis_reset(void);

#endif
