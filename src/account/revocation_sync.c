/*
 * A round goes through MySQL's rows by their key and enters them in Redis,
 * then through Redis's entries in their order and inserts them in MySQL. Both
 * skip what is there already, so a round may begin anew at any time.
 */
#include "account/revocation_sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "account/revocation.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "host/log.h"
#include "sale/key.h"

enum { BATCH = 10 * REVOKED_CHUNK, ROUND_MS = 5000, AGAIN_MS = 1000, HURRY_MS = 50 };

struct revocation_sync {
	struct service *svc;
	char run[REDIS_INCARNATION + 1]; /* the life of Redis that this round completes */
	bool hurry;                      /* it is a new one: workers that start now learn too little */
	bool back;                       /* the round's second half */
	uint64_t after;                  /* the first half: the last token whose row was read */
	int64_t behind;                  /* the second half: the score of the last entry that was read */
	int64_t next_ms;
	int full;     /* of this batch: tokens that Redis had no room for */
	bool failed;  /* of this batch: Redis did not take it */
	bool trouble; /* MySQL's failure was logged */
};

struct revocation_sync *revocation_sync_new(struct service *svc)
{
	struct revocation_sync *s = alloc_zeroed(1, sizeof *s);
	s->svc = svc;
	return s;
}

void revocation_sync_free(struct revocation_sync *s)
{
	free(s);
}

/* Logged once, not at every try. */
static bool mysql_failed(struct revocation_sync *s)
{
	if (!s->trouble)
		log_warn("revocations_not_copied", LOG_TEXT("error", db_error(s->svc->db)));
	s->trouble = true;
	return false;
}

static void begin_round(struct revocation_sync *s)
{
	s->back = false;
	s->after = 0;
	s->behind = 0;
}

/* From MySQL to Redis */

static void on_entered(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct revocation_sync *s = context;
	if (end == REDIS_ANSWER)
		s->full += (int)redis_number(reply);
	else
		s->failed = true;
}

/* Also when there is nothing to enter: the script removes what has expired. */
static bool enter(struct revocation_sync *s, const struct revocation *r, int count)
{
	struct redis_command c;
	int done = 0;
	s->full = 0;
	s->failed = false;
	do {
		int n = count - done < REVOKED_CHUNK ? count - done : REVOKED_CHUNK;
		revocation_command(&c, r + done, n);
		redis_send(s->svc->redis_sync, &c, on_entered, s);
		done += n;
	} while (done < count);
	redis_wait_all(s->svc->redis_sync);
	if (s->full)
		log_error("revocations_full", LOG_INT("limit", REVOKED_MAX), LOG_INT("not_entered", s->full));
	return !s->failed;
}

static bool copy_to_redis(struct revocation_sync *s, struct arena *a)
{
	struct db_rows rows;
	struct revoked_id after = revocation_id(s->after);
	struct revocation r[BATCH];
	if (db_query(s->svc->db, a,
		     "SELECT token_id, expires_at_s FROM revocations WHERE token_id > ? AND expires_at_s > ? "
		     "ORDER BY token_id LIMIT ?",
		     &rows, DB_S(((struct str){ after.bytes, sizeof after.bytes })), DB_N(time(NULL) - REVOKED_KEEP_S),
		     DB_N(BATCH)))
		return mysql_failed(s);
	int count = rows.count < BATCH ? rows.count : BATCH;
	for (int i = 0; i < count; i++)
		r[i] = (struct revocation){ revocation_read_id(db_row(&rows, i)[0].text), db_row(&rows, i)[1].number };
	if (!enter(s, r, count))
		return false;
	s->back = count < BATCH;
	s->hurry &= !s->back;
	if (count)
		s->after = r[count - 1].id;
	return true;
}

/* From Redis to MySQL */

static bool insert(struct revocation_sync *s, struct revocation *r, int count)
{
	for (int done = 0; done < count; done += REVOKED_CHUNK) {
		for (; count % REVOKED_CHUNK; count++) /* repeats fill up: one statement to prepare */
			r[count] = r[count - 1];
		if (revocation_insert(s->svc->db, r + done, REVOKED_CHUNK))
			return mysql_failed(s);
	}
	return true;
}

static bool copy_to_mysql(struct revocation_sync *s, struct arena *a)
{
	struct redis_command c;
	const struct redis_reply *page = NULL;
	struct revocation r[BATCH];
	int count = 0;
	redis_command(&c, "ZRANGEBYSCORE");
	key_put(&c, KEY_REVOKED, 0, 0);
	redis_put_text(&c, arena_printf(a, "(%lld", (long long)s->behind));
	redis_put_text(&c, "+inf");
	redis_put_text(&c, "WITHSCORES");
	redis_put_text(&c, "LIMIT");
	redis_put_int(&c, 0);
	redis_put_int(&c, BATCH);
	if (redis_call(s->svc->redis_sync, a, &c, &page) != REDIS_ANSWER)
		return false;
	size_t words = redis_count(page);
	for (size_t i = 0; i + 1 < words && count < BATCH; i += 2)
		count += revocation_read_entry(redis_text_at(page, i), &r[count]) &&
			 r[count].expires_s > time(NULL) - REVOKED_KEEP_S;
	if (!insert(s, r, count))
		return false;
	if (words == (size_t)2 * BATCH) {
		s->behind = redis_number_at(page, words - 1);
	} else {
		begin_round(s);
		s->next_ms = clock_mono_ms() + ROUND_MS;
	}
	return true;
}

static bool prune(struct revocation_sync *s)
{
	return !db_exec(s->svc->db, "DELETE FROM revocations WHERE expires_at_s < ? LIMIT ?", NULL,
			DB_N(time(NULL) - REVOKED_KEEP_S), DB_N(BATCH)) ||
	       mysql_failed(s);
}

/* Zeros: not connected, or a server that does not tell. */
static void look_for_new_life(struct revocation_sync *s)
{
	char key[KEY_TEXT];
	const char *run = redis_incarnation(s->svc->redis_sync, key_text(key, KEY_REVOKED, 0, 0));
	if (strspn(run, "0") == REDIS_INCARNATION || strcmp(run, s->run) == 0)
		return;
	snprintf(s->run, sizeof s->run, "%s", run);
	begin_round(s);
	s->hurry = true;
	s->next_ms = 0;
}

bool revocation_sync_step(struct revocation_sync *s)
{
	int64_t began = clock_mono_ms();
	bool well = true;
	look_for_new_life(s);
	if (!redis_is_up(s->svc->redis_sync) || began < s->next_ms)
		return false;
	do {
		struct arena a = { 0 };
		well = (s->back ? copy_to_mysql(s, &a) : copy_to_redis(s, &a)) && prune(s);
		arena_release(&a);
	} while (well && s->hurry && clock_mono_ms() - began < HURRY_MS);
	s->trouble &= !well;
	if (!well)
		s->next_ms = clock_mono_ms() + AGAIN_MS;
	return well && s->hurry;
}
