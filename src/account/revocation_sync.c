/*
 * A round reads MySQL's rows in the order of their key and enters them in Redis, then reads Redis's entries in the
 * order of their score and inserts them in MySQL. Existing entries and rows are skipped, so a round may start again at
 * any time.
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
	char incarnation[REDIS_INCARNATION + 1]; /* of Redis, when this round began */
	bool hurry;         /* the incarnation is new: a worker that starts now may accept a logged-out token */
	bool to_mysql;      /* the round's second half */
	uint64_t last_id;   /* in the first half: of the row that was read last */
	int64_t last_score; /* in the second half: of the entry that was read last */
	int64_t next_ms;    /* when the next step is due, by clock_mono_ms */
	int not_entered;    /* tokens of this batch for which the set had no room */
	bool failed;        /* Redis did not answer for a part of this batch */
	bool is_logged;     /* MySQL fails, and the log has it */
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

/* Logged at the first failure only. Returns false. */
static bool report_mysql_failure(struct revocation_sync *s)
{
	if (!s->is_logged)
		log_warn("revocations_not_copied", LOG_TEXT("error", db_error(s->svc->db)));
	s->is_logged = true;
	return false;
}

static void begin_round(struct revocation_sync *s)
{
	s->to_mysql = false;
	s->last_id = 0;
	s->last_score = 0;
}

/* From MySQL to Redis */

static void on_entered(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct revocation_sync *s = context;
	if (end == REDIS_ANSWER)
		s->not_entered += (int)redis_number(reply);
	else
		s->failed = true;
}

/* Calls the script even if there is nothing to enter, because it also removes expired entries. */
static bool enter_in_redis(struct revocation_sync *s, const struct revocation *r, int count)
{
	struct redis_command c;
	int done = 0;
	s->not_entered = 0;
	s->failed = false;
	do {
		int n = count - done < REVOKED_CHUNK ? count - done : REVOKED_CHUNK;
		revocation_command(&c, r + done, n);
		redis_send(s->svc->redis_sync, &c, on_entered, s);
		done += n;
	} while (done < count);
	redis_wait_all(s->svc->redis_sync);
	if (s->not_entered)
		log_error("revocations_full", LOG_INT("limit", REVOKED_MAX), LOG_INT("not_entered", s->not_entered));
	return !s->failed;
}

static bool copy_to_redis(struct revocation_sync *s, struct arena *a)
{
	struct db_rows rows;
	struct revoked_id after = revocation_id(s->last_id);
	struct revocation r[BATCH];
	if (db_query(s->svc->db, a,
		     "SELECT token_id, expires_at_s FROM revocations WHERE token_id > ? AND expires_at_s > ? "
		     "ORDER BY token_id LIMIT ?",
		     &rows, DB_S(((struct str){ after.bytes, sizeof after.bytes })), DB_N(time(NULL) - REVOKED_KEEP_S),
		     DB_N(BATCH)))
		return report_mysql_failure(s);
	int count = rows.count < BATCH ? rows.count : BATCH;
	for (int i = 0; i < count; i++)
		r[i] = (struct revocation){ revocation_read_id(db_row(&rows, i)[0].text), db_row(&rows, i)[1].number };
	if (!enter_in_redis(s, r, count))
		return false;
	s->to_mysql = count < BATCH;
	s->hurry &= !s->to_mysql;
	if (count)
		s->last_id = r[count - 1].id;
	return true;
}

/* From Redis to MySQL */

static bool insert_in_mysql(struct revocation_sync *s, struct revocation *r, int count)
{
	for (int done = 0; done < count; done += REVOKED_CHUNK) {
		for (; count % REVOKED_CHUNK; count++) /* full chunks only, so that there is one statement to prepare */
			r[count] = r[count - 1];
		if (revocation_insert(s->svc->db, r + done, REVOKED_CHUNK))
			return report_mysql_failure(s);
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
	redis_put_text(&c, arena_printf(a, "(%lld", (long long)s->last_score));
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
	if (!insert_in_mysql(s, r, count))
		return false;
	if (words == (size_t)2 * BATCH) {
		s->last_score = redis_number_at(page, words - 1);
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
	       report_mysql_failure(s);
}

/* Begins a new round when Redis has another incarnation. Zeros mean that there is no connection, or no INFO. */
static void check_incarnation(struct revocation_sync *s)
{
	char key[KEY_TEXT];
	const char *incarnation = redis_incarnation(s->svc->redis_sync, key_text(key, KEY_REVOKED, 0, 0));
	if (strspn(incarnation, "0") == REDIS_INCARNATION || strcmp(incarnation, s->incarnation) == 0)
		return;
	snprintf(s->incarnation, sizeof s->incarnation, "%s", incarnation);
	begin_round(s);
	s->hurry = true;
	s->next_ms = 0;
}

bool revocation_sync_step(struct revocation_sync *s)
{
	int64_t began = clock_mono_ms();
	bool ok = true;
	check_incarnation(s);
	if (!redis_is_up(s->svc->redis_sync) || began < s->next_ms)
		return false;
	do {
		struct arena a = { 0 };
		ok = (s->to_mysql ? copy_to_mysql(s, &a) : copy_to_redis(s, &a)) && prune(s);
		arena_release(&a);
	} while (ok && s->hurry && clock_mono_ms() - began < HURRY_MS);
	s->is_logged &= !ok;
	if (!ok)
		s->next_ms = clock_mono_ms() + AGAIN_MS;
	return ok && s->hurry;
}
