/*
 * A reader continues behind the last entry that it has read. When the set no longer has that entry (because it has
 * expired, or Redis has lost its data or has older data), the reader starts again from the first entry. Tokens that
 * were read before stay in memory.
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

enum { EVERY_MS = 500, PAGE = 1000, JTI = 16, ENTRY_TEXT = 48 };

/* How far a process has read the set. */
struct revocation_reader {
	struct service *svc;
	int64_t score;           /* of the last entry that was read */
	char entry[ENTRY_TEXT];  /* the text of that entry; "": none was read */
	int64_t read_ms;         /* when the set was read, by clock_mono_ms; 0: never; not in the hot pool */
	struct loop_timer timer; /* hot pool only */
};

static struct revocation_reader *ensure_reader(struct service *svc)
{
	if (!svc->revocations) {
		svc->revocations = alloc_zeroed(1, sizeof *svc->revocations);
		svc->revocations->svc = svc;
	}
	return svc->revocations;
}

bool revocation_read_entry(struct str entry, struct revocation *r)
{
	struct str rest = entry, jti;
	char *end;
	if (entry.n >= ENTRY_TEXT || !parse_split(&rest, ':', &jti) || jti.n != JTI ||
	    !parse_int(rest, 0, NUMBER_MAX, &r->expires_s))
		return false;
	r->id = strtoull(jti.p, &end, 16);
	return end == jti.p + JTI;
}

/* Reading */

static bool has_last_entry(const struct revocation_reader *r, const struct redis_reply *page)
{
	for (size_t i = 0; i + 1 < redis_count(page); i += 2)
		if (redis_number_at(page, i + 1) == r->score && str_eq(redis_text_at(page, i), str_of(r->entry)))
			return true;
	return !*r->entry;
}

/* Takes the entries of a page. True: the next page should be read at once. */
static bool take_page(struct revocation_reader *r, const struct redis_reply *page)
{
	if (!has_last_entry(r, page)) {
		r->score = 0;
		*r->entry = '\0';
		return true;
	}
	bool progress = false;
	for (size_t i = 0; i + 1 < redis_count(page); i += 2) {
		struct revocation revoked;
		struct str entry = redis_text_at(page, i);
		if (!revocation_read_entry(entry, &revoked))
			continue;
		tokens_revoke(r->svc->tokens, revoked.id, revoked.expires_s);
		progress |= redis_number_at(page, i + 1) > r->score;
		r->score = redis_number_at(page, i + 1);
		snprintf(r->entry, sizeof r->entry, "%.*s", (int)entry.n, entry.p);
	}
	return progress && redis_count(page) == (size_t)2 * PAGE;
}

static void page_command(const struct revocation_reader *r, struct redis_command *c)
{
	redis_command(c, "ZRANGEBYSCORE");
	key_put(c, KEY_REVOKED, 0, 0);
	redis_put_int(c, r->score);
	redis_put_text(c, "+inf");
	redis_put_text(c, "WITHSCORES");
	redis_put_text(c, "LIMIT");
	redis_put_int(c, 0);
	redis_put_int(c, PAGE);
}

static void on_page(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct revocation_reader *r = context;
	bool more = end == REDIS_ANSWER && take_page(r, reply);
	loop_timer_set(r->svc->loop, &r->timer, more ? 0 : EVERY_MS);
}

static void on_timer(struct loop_timer *t)
{
	struct revocation_reader *r = container_of(t, struct revocation_reader, timer);
	struct redis_command c;
	page_command(r, &c);
	redis_send(r->svc->redis, &c, on_page, r);
}

void revocation_watch(struct service *svc)
{
	struct revocation_reader *r = ensure_reader(svc);
	r->timer.fn = on_timer;
	loop_timer_set(svc->loop, &r->timer, 0);
}

void revocation_refresh(struct service *svc)
{
	struct revocation_reader *r = ensure_reader(svc);
	struct redis_command c;
	int64_t now = clock_mono_ms();
	if (r->read_ms && now - r->read_ms < EVERY_MS)
		return;
	bool more = true;
	for (int pages = 0; more && pages <= 2 * REVOKED_MAX / PAGE; pages++) { /* bounded, because the set is */
		struct arena a = { 0 };
		const struct redis_reply *page;
		page_command(r, &c);
		bool answered = redis_call(svc->redis_sync, &a, &c, &page) == REDIS_ANSWER;
		more = answered && take_page(r, page);
		if (answered)
			r->read_ms = now;
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

/* Big-endian on every machine, so that HEX() in MySQL shows the jti. */
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

/* IGNORE: rows that exist already are not changed. */
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
	return db_exec_params(db, sql, NULL, v, 2 * count);
}

static enum status enter_in_redis(struct service *svc, const struct revocation *r)
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

/* Redis first, so that workers refuse the token soon; MySQL even if Redis does not answer, for the drainers to copy. */
enum status revocation_token(struct service *svc, const struct token *t)
{
	struct revocation r = { .id = t->id, .expires_s = t->expires_s };
	enum status entered = enter_in_redis(svc, &r), kept = STATUS_OK;
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
