/*
 * Readers ask for what was logged out since a little before the newest entry
 * they know, so that clocks of several hosts may differ by OVERLAP_MS.
 */
#include "sale/revoke.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "sale/key.h"

enum { EVERY_MS = 500, OVERLAP_MS = 10000 };

static void learn(struct service *svc, const struct redis_reply *list)
{
	for (size_t i = 0; i + 1 < redis_count(list); i += 2) {
		struct str member = redis_text_at(list, i);
		int64_t expires_s, at_ms = redis_number_at(list, i + 1);
		if (member.n < 18 || !parse_int((struct str){ member.p + 17, member.n - 17 }, 0, INT64_MAX, &expires_s))
			continue;
		tokens_revoke(svc->tokens, strtoull(member.p, NULL, 16), expires_s);
		if (at_ms > svc->revoked_ms && at_ms <= clock_ms()) /* a clock that is ahead must not hide the others */
			svc->revoked_ms = at_ms;
	}
}

static void query(const struct service *svc, struct redis_command *c)
{
	redis_command(c, "ZRANGEBYSCORE");
	key_put(c, KEY_REVOKED, 0, 0);
	redis_put_int(c, svc->revoked_ms > OVERLAP_MS ? svc->revoked_ms - OVERLAP_MS : 0);
	redis_put_text(c, "+inf");
	redis_put_text(c, "WITHSCORES");
}

static void on_list(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct service *svc = context;
	if (end == REDIS_ANSWER)
		learn(svc, reply);
	loop_timer_set(svc->loop, &svc->revoked_timer, EVERY_MS);
}

static void on_timer(struct loop_timer *t)
{
	struct service *svc = (struct service *)((char *)t - offsetof(struct service, revoked_timer));
	struct redis_command c;
	query(svc, &c);
	redis_send(svc->redis, &c, on_list, svc);
}

void revoke_watch(struct service *svc)
{
	svc->revoked_timer.fn = on_timer;
	loop_timer_set(svc->loop, &svc->revoked_timer, 0);
}

void revoke_refresh(struct service *svc)
{
	struct arena a = { 0 };
	struct redis_command c;
	const struct redis_reply *list;
	int64_t now = clock_mono_ms();
	if (svc->revoked_read_ms && now - svc->revoked_read_ms < EVERY_MS)
		return;
	query(svc, &c);
	if (redis_call(svc->redis_now, &a, &c, &list) == REDIS_ANSWER) {
		learn(svc, list);
		svc->revoked_read_ms = now;
	}
	arena_release(&a);
}

enum status revoke_token(struct service *svc, const struct token *t)
{
	struct arena a = { 0 };
	struct redis_command c;
	char member[48];
	snprintf(member, sizeof member, "%016llx:%lld", (unsigned long long)t->id, (long long)t->expires_s);
	redis_command(&c, "ZADD");
	key_put(&c, KEY_REVOKED, 0, 0);
	redis_put_int(&c, clock_ms());
	redis_put_text(&c, member);
	enum redis_end end = redis_call(svc->redis_now, &a, &c, NULL);
	if (end == REDIS_ANSWER) {
		tokens_revoke(svc->tokens, t->id, t->expires_s);
		redis_command(&c, "ZREMRANGEBYSCORE");
		key_put(&c, KEY_REVOKED, 0, 0);
		redis_put_text(&c, "-inf");
		redis_put_int(&c, clock_ms() - 1000LL * (svc->conf->token_ttl_s + 60));
		redis_call(svc->redis_now, &a, &c, NULL);
	}
	arena_release(&a);
	return end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE;
}
