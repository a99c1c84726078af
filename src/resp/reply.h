/* Outcomes of commands, and functions that read replies. Callers include redis/redis.h. */
#ifndef RESP_REPLY_H
#define RESP_REPLY_H

#include <stdint.h>

#include "base/parse.h"

enum redis_outcome {
	REDIS_ANSWER,  /* there is a reply, and it is not an error */
	REDIS_REFUSED, /* not executed: no connection, or an error that says so (LOADING, READONLY, OOM, ...) */
	REDIS_UNKNOWN, /* sent, but no reply came: it may have been executed */
	REDIS_BROKEN,  /* an error that no healthy server gives (WRONGTYPE, a script's runtime error) */
};

/* A reply, valid during the callback; of redis_call, until the arena is reset. All functions read NULL as nil. */
struct redis_reply;

/*
 * Called once for each command. reply is NULL unless outcome is REDIS_ANSWER or, with the error as text, REDIS_REFUSED
 * or REDIS_BROKEN.
 */
typedef void redis_done(void *context, enum redis_outcome outcome, const struct redis_reply *reply);

enum redis_type { REDIS_NIL, REDIS_INT, REDIS_TEXT, REDIS_LIST };
enum redis_type redis_type(const struct redis_reply *r);                   /* an error is REDIS_TEXT */
bool redis_is_error(const struct redis_reply *r);                          /* also for an element of a list */
size_t redis_count(const struct redis_reply *r);                           /* the length of a list, else 0 */
const struct redis_reply *redis_at(const struct redis_reply *r, size_t i); /* NULL past the end */
struct str redis_text(const struct redis_reply *r);                        /* "" if it is not REDIS_TEXT */
/*
 * An integer, or a text that is an integer, from -NUMBER_MAX to NUMBER_MAX; 0 for anything else. Scripts calculate in
 * doubles, so larger numbers would not be exact; and sums over the segments of a coupon fit in 64 bits.
 */
int64_t redis_number(const struct redis_reply *r);
/* Reads a number within bounds. False: the reply is no such number, and *value is not changed. */
bool redis_number_in(const struct redis_reply *r, int64_t min, int64_t max, int64_t *value);
/* Element i of a list as text or as a number. */
struct str redis_text_at(const struct redis_reply *r, size_t i);
int64_t redis_number_at(const struct redis_reply *r, size_t i);

/* The value of a field in a map as HGETALL returns it, or NULL. */
const struct redis_reply *redis_member(const struct redis_reply *map, const char *name);

/* A copy in the arena, with all its elements. */
const struct redis_reply *redis_copy(struct arena *a, const struct redis_reply *from);

#endif
