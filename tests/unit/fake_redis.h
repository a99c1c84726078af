/*
 * redis/redis.h without a server: commands wait in a queue, in order, until
 * the test reads the oldest one as text and says how it ends. Replaces
 * src/redis/redis.c at link time; redis_command.c is the real one.
 */
#ifndef UNIT_FAKE_REDIS_H
#define UNIT_FAKE_REDIS_H

#include "redis/redis.h"

/*
 * Commands that were sent and have no answer yet, and the oldest of them: "HGET KEY FIELD", a script as
 * "claim KEY KEY KEY | ARG ARG". "" when there is none; valid until the next call here.
 */
int fake_redis_waiting(void);
const char *fake_redis_oldest(void);

/*
 * Ends the oldest command. A reply is written as words: numbers become integers, more than one word a list; "nil";
 * "[]" an empty list; "[x" a list of one. What stands in for an end: "!refused", "!unknown", "!broken".
 * A word is text, even when it looks like a number, after a ': ":12". To a call of a batch (redis_batch), which is here
 * always alone, the words are one text.
 */
void fake_redis_answer(const char *reply);

/* Ends the oldest command with a list of texts, of any bytes. */
void fake_redis_answer_texts(const struct str *texts, size_t count);

/* The oldest command goes behind all others: it is answered later. */
void fake_redis_later(void);

/* Ends the oldest command as SCAN and the like are answered: with a cursor, and a list of texts. */
void fake_redis_answer_page(const char *cursor, const struct str *texts, size_t count);

/*
 * Called while redis_call and redis_wait_all wait, and for nobody else: answers the oldest command. NULL: everything is
 * refused.
 */
extern void (*fake_redis_server)(void);

/* While down, redis_send ends every command at once as REDIS_REFUSED, as without a connection. */
void fake_redis_down(bool down);

/* The setting wait_replicas: a confirmation is then a command "WAIT" in the queue, which ends like the others. */
extern bool fake_redis_confirms;

/* One server holds all keys. Else, as in a cluster, a command has keys of one slot. */
extern bool fake_redis_is_single;

/* Forgets everything; nothing must be waiting. */
void fake_redis_reset(void);

#endif
