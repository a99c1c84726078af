/*
 * A reader goes on behind the last entry that it has read. When that entry is
 * not there any more (it has expired, or Redis lost its data or has older
 * ones), the reader begins anew; what it has learnt before it keeps.
 */
#include "account/revocation.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/scripts.h"

enum { EVERY_MS = 500, PAGE = 1000, JTI = 16 };

bool revocation_read_entry(struct str entry, struct revocation *r)
{
	struct str rest = entry, jti;
	char *end;
	if (entry.n >= sizeof((struct service *)0)->revoked_last || !parse_split(&rest, ':', &jti) || jti.n != JTI ||
	    !parse_int(rest, 0, NUMBER_MAX, &r->expires_s))
		return false;
	r->id = strtoull(jti.p, &end, 16);
	return end == jti.p + JTI;
}

/* Reading */

static bool has_last(const struct service *svc, const struct redis_reply *page)
{
	for (size_t i = 0; i + 1 < redis_count(page); i += 2)
		if (redis_number_at(page, i + 1) == svc->revoked_at &&
		    str_eq(redis_text_at(page, i), str_of(svc->revoked_last)))
			return true;
	return !*svc->revoked_last;
}

/* True: there is more to read at once. */
static bool learn(struct service *svc, const struct redis_reply *page)
{
	if (!has_last(svc, page)) {
		svc->revoked_at = 0;
		*svc->revoked_last = '\0';
		return true;
	}
	bool progress = false;
	for (size_t i = 0; i + 1 < redis_count(page); i += 2) {
		struct revocation r;
		struct str entry = redis_text_at(page, i);
		if (!revocation_read_entry(entry, &r))
			continue;
		tokens_revoke(svc->tokens, r.id, r.expires_s);
		progress |= redis_number_at(page, i + 1) > svc->revoked_at;
		svc->revoked_at = redis_number_at(page, i + 1);
		snprintf(svc->revoked_last, sizeof svc->revoked_last, "%.*s", (int)entry.n, entry.p);
	}
	return progress && redis_count(page) == (size_t)2 * PAGE;
}

static void query(const struct service *svc, struct redis_command *c)
{
	redis_command(c, "ZRANGEBYSCORE");
	key_put(c, KEY_REVOKED, 0, 0);
	redis_put_int(c, svc->revoked_at);
	redis_put_text(c, "+inf");
	redis_put_text(c, "WITHSCORES");
	redis_put_text(c, "LIMIT");
	redis_put_int(c, 0);
	redis_put_int(c, PAGE);
}

static void on_page(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct service *svc = context;
	bool more = end == REDIS_ANSWER && learn(svc, reply);
	loop_timer_set(svc->loop, &svc->revoked_timer, more ? 0 : EVERY_MS);
}

static void on_timer(struct loop_timer *t)
{
	struct service *svc = container_of(t, struct service, revoked_timer);
	struct redis_command c;
	query(svc, &c);
	redis_send(svc->redis, &c, on_page, svc);
}

void revocation_watch(struct service *svc)
{
	svc->revoked_timer.fn = on_timer;
	loop_timer_set(svc->loop, &svc->revoked_timer, 0);
}

void revocation_refresh(struct service *svc)
{
	struct redis_command c;
	int64_t now = clock_mono_ms();
	if (svc->revoked_read_ms && now - svc->revoked_read_ms < EVERY_MS)
		return;
	bool more = true;
	for (int pages = 0; more && pages <= 2 * REVOKED_MAX / PAGE; pages++) { /* the set is bounded, so is this */
		struct arena a = { 0 };
		const struct redis_reply *page;
		query(svc, &c);
		bool answered = redis_call(svc->redis_sync, &a, &c, &page) == REDIS_ANSWER;
		more = answered && learn(svc, page);
		if (answered)
			svc->revoked_read_ms = now;
		arena_release(&a);
	}
}

/* Writing */

void revocation_command(struct redis_command *c, const struct revocation *r, int count)
{
	char entry[JTI + 24];
	redis_script(c, &script_revoke, 1);
	key_put(c, KEY_REVOKED, 0, 0);
	redis_put_int(c, REVOKED_MAX);
	redis_put_int(c, REVOKED_KEEP_S);
	for (int i = 0; i < count; i++) {
		snprintf(entry, sizeof entry, "%016llx:%lld", (unsigned long long)r[i].id, (long long)r[i].expires_s);
		redis_put_text(c, entry);
	}
}

/* Of one byte order everywhere, so that HEX() shows a jti. */
struct revoked_id revocation_id(uint64_t id)
{
	struct revoked_id bytes;
	id = htobe64(id);
	memcpy(bytes.bytes, &id, sizeof id);
	return bytes;
}

uint64_t revocation_read_id(struct str bytes)
{
	uint64_t id = 0;
	if (bytes.n == sizeof id)
		memcpy(&id, bytes.p, sizeof id);
	return be64toh(id);
}

/* IGNORE: here a row that is there already is as good as a new one. */
int revocation_insert(struct db *db, const struct revocation *r, int count)
{
	char sql[80 + REVOKED_CHUNK * 8] = "INSERT IGNORE INTO revocations (token_id, expires_at_s) VALUES ";
	struct revoked_id ids[REVOKED_CHUNK];
	struct db_value v[2 * REVOKED_CHUNK];
	for (int i = 0; i < count; i++) {
		strcat(sql, i ? ", (?, ?)" : "(?, ?)");
		ids[i] = revocation_id(r[i].id);
		v[2 * i] = DB_S(((struct str){ ids[i].bytes, sizeof ids[i].bytes }));
		v[2 * i + 1] = DB_N(r[i].expires_s);
	}
	return db_run(db, NULL, sql, v, 2 * count, NULL, NULL);
}

static enum status enter(struct service *svc, const struct revocation *r)
{
	struct arena a = { 0 };
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	enum status s = STATUS_UNAVAILABLE;
	revocation_command(&c, r, 1);
	if (redis_call(svc->redis_sync, &a, &c, &reply) == REDIS_ANSWER)
		s = redis_number(reply) ? STATUS_BUSY : STATUS_OK;
	arena_release(&a);
	return s;
}

/* Redis first, and MySQL in any case: even when one of them is away, the token shall be refused as soon as can be. */
enum status revocation_token(struct service *svc, const struct token *t)
{
	struct revocation r = { .id = t->id, .expires_s = t->expires_s };
	enum status entered = enter(svc, &r), kept = STATUS_OK;
	if (entered == STATUS_BUSY) {
		log_error("revocations_full", LOG_INT("limit", REVOKED_MAX));
		return entered;
	}
	if (entered == STATUS_OK)
		tokens_revoke(svc->tokens, r.id, r.expires_s);
	if (revocation_insert(svc->db, &r, 1))
		kept = db_status(svc->db, "logout");
	return kept == STATUS_OK ? entered : kept;
}
